// Users of SockJS, in a page and in node: connects, says things, hears things.
// What happens waits here until it is asked for.
"use strict";

const PATIENCE_MS = 20000;

function users(SockJS) {
  const all = [];

  // What happens next to a user: {message}, or {code, reason, wasClean} for
  // the end.
  function next({ user }) {
    const it = all[user];
    if (it.happened.length > 0)
      return it.happened.shift();
    return new Promise((resolve, reject) => {
      it.resolve = resolve;
      it.late = setTimeout(() => {
        it.resolve = null;
        reject(new Error("nothing happened"));
      }, PATIENCE_MS);
    });
  }

  function happens(it, event) {
    if (!it.resolve)
      return it.happened.push(event);
    clearTimeout(it.late);
    it.resolve(event);
    it.resolve = null;
  }

  return {
    // `transport`: only this one. A slow machine is no reason for the client to
    // take another, hence the time-out.
    async connect({ url, transport }) {
      const socket = new SockJS(url, null,
        { transports: transport || undefined, timeout: 15000 });
      const it = { socket, happened: [], resolve: null };
      const user = all.push(it) - 1;
      socket.onopen = () => happens(it, { transport: socket.transport });
      socket.onmessage = event => happens(it, { message: event.data });
      socket.onclose = ({ code, reason, wasClean }) =>
        happens(it, { code, reason, wasClean });
      return { user, ...await next({ user }) };
    },
    say({ user, messages }) {
      messages.forEach(message => all[user].socket.send(message));
    },
    next,
    close({ user, code, reason }) {
      all[user].socket.close(code, reason);
    },
  };
}

if (typeof module !== "undefined")
  module.exports = users;
