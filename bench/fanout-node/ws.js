// What one WebSocket says goes to all others, by the loop that the README of
// `ws` shows, on a free port of 127.0.0.1, which it prints. All as `ws` has it
// by default but the queue of connections that wait to be accepted, which is
// as long as that of the others in the benchmark.
'use strict';

const { WebSocket, WebSocketServer } = require('ws');

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, backlog: 4096 });

server.on('connection', (connection) => {
  connection.on('message', (text, isBinary) => {
    server.clients.forEach((client) => {
      if (client !== connection && client.readyState === WebSocket.OPEN) {
        client.send(text, { binary: isBinary });
      }
    });
  });
});

server.on('listening', () => {
  console.log(server.address().port);
});
