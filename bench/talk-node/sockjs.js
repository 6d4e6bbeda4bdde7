// The far end of `talk` over SockJS, at /talk. As sockjs-node has it by
// default, but for its log of every request.
'use strict';

const http = require('http');
const sockjs = require('sockjs');
const { leave, read, serve } = require('./clients');

const service = sockjs.createServer({ log: () => {} });
service.on('connection', (socket) => {
  const connection = { send: (text) => socket.write(text) };
  socket.on('data', (text) => read(connection, text));
  socket.on('close', () => leave(connection));
});

const server = http.createServer();
service.installHandlers(server, { prefix: '/talk' });
serve(server);
