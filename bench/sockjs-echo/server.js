// An echo over SockJS at /echo on a free port of 127.0.0.1, which it prints.
// Everything is as sockjs-node has it by default but two things, both in its
// favour: no line is logged per request, and the queue of connections that
// wait to be accepted is as long as that of the others in the benchmark.
'use strict';

const http = require('http');
const sockjs = require('sockjs');

const echo = sockjs.createServer({ log: () => {} });
echo.on('connection', (connection) => {
  connection.on('data', (message) => connection.write(message));
});

const server = http.createServer();
echo.installHandlers(server, { prefix: '/echo' });
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  console.log(server.address().port);
});
