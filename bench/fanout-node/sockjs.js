// What one client says goes to all others, over SockJS at /echo on a free port
// of 127.0.0.1, which it prints. As sockjs-echo/server.js otherwise.
'use strict';

const http = require('http');
const sockjs = require('sockjs');

const connections = new Set();
const broadcast = sockjs.createServer({ log: () => {} });
broadcast.on('connection', (connection) => {
  connections.add(connection);
  connection.on('data', (message) => {
    for (const other of connections) {
      if (other !== connection) {
        other.write(message);
      }
    }
  });
  connection.on('close', () => connections.delete(connection));
});

const server = http.createServer();
broadcast.installHandlers(server, { prefix: '/echo' });
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  console.log(server.address().port);
});
