// What talk-target.c knows of the clients of `talk`, for servers in node: the
// same words, the same counts. It outlives a connection, and the process too:
// SIGTERM, as from a restart of the service, leaves it in a file, from which
// the next process goes on.
'use strict';

const fs = require('fs');

const TURN_MS = 2;

const now = () => process.hrtime.bigint(); // CLOCK_MONOTONIC

class Client {
  constructor(conversation) {
    this.conversation = conversation;
    this.seen = new Set();
    this.doubled = this.disordered = this.highest = 0;
    this.created = 0;
    this.epoch = 0;
    this.arrived = this.slowest = 0n;
    this.isAsked = false;
    this.connection = null; // what to send on; null: nowhere
  }

  take(number, created, epoch) {
    if (this.seen.has(number)) {
      this.doubled++;
    } else {
      this.seen.add(number);
      if (number < this.highest) this.disordered++;
      else this.highest = number;
    }
    const at = now();
    if (epoch > this.epoch) {
      this.epoch = epoch;
      this.arrived = at;
      this.slowest = 0n;
    }
    if (at - created > this.slowest) this.slowest = at - created;
  }

  message(at) {
    const head = `m ${++this.created} ${at} ${this.epoch} ${this.arrived} ` +
      `${this.slowest} `;
    return head.padEnd(this.bytes, 'x');
  }

  answer() {
    this.isAsked = true;
    return `a ${this.seen.size} ${this.doubled} ${this.disordered} ` +
      `${this.created}`;
  }
}

const clients = new Map();

function load(path) {
  if (!fs.existsSync(path)) return;
  for (const [id, fields] of JSON.parse(fs.readFileSync(path, 'utf8'))) {
    clients.set(id, Object.assign(new Client(), fields, {
      seen: new Set(fields.seen),
      arrived: BigInt(fields.arrived),
      slowest: BigInt(fields.slowest),
      connection: null,
    }));
  }
}

function save(path) {
  fs.writeFileSync(path, JSON.stringify([...clients], (key, value) => {
    if (key === 'connection') return null;
    if (key === 'seen') return [...value];
    return typeof value === 'bigint' ? String(value) : value;
  }));
}

function hello(connection, words) {
  const [id, conversation, intervalUs, bytes] = words.map(Number);
  let client = clients.get(id);
  if (!client || client.conversation !== conversation) {
    client = new Client(conversation);
    clients.set(id, client);
  }
  client.connection = connection;
  client.interval = BigInt(intervalUs) * 1000n;
  client.due = now() + client.interval;
  client.bytes = bytes;
  return client;
}

// A text from a connection, which has send(text) and, once it has said hello,
// its client.
function read(connection, text) {
  const [kind, ...words] = text.split(' ');
  if (kind === 'h') connection.client = hello(connection, words);
  const client = connection.client;
  if (!client || client.connection !== connection) return;
  if (kind === 'm') client.take(+words[0], BigInt(words[1]), +words[2]);
  else if (kind === 'q') connection.send(client.answer());
}

// Nothing is created for a client that has nowhere to send to.
function leave(connection) {
  const client = connection.client;
  if (client && client.connection === connection) client.connection = null;
}

function turn() {
  const at = now();
  for (const client of clients.values()) {
    if (!client.connection || client.isAsked || at < client.due) continue;
    client.due += client.interval;
    if (client.due < at) client.due = at + client.interval;
    client.connection.send(client.message(at));
  }
}

// node SERVER.js PORT FILE: 0 is any free port; prints which one it is.
function serve(server) {
  const [port, file] = process.argv.slice(2);
  load(file);
  process.on('SIGTERM', () => {
    save(file);
    process.exit(0);
  });
  server.listen({ host: '127.0.0.1', port: +port, backlog: 4096 }, () => {
    console.log(server.address().port);
    setInterval(turn, TURN_MS);
  });
}

module.exports = { leave, read, serve };
