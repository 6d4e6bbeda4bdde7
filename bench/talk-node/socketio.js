// The far end of `talk` over Socket.IO, by polling alone, with recovery of
// connections: what is sent to a room while one of its members is away is kept
// for it. So a client that was lost is sent to as before, until it says hello
// again.
'use strict';

const http = require('http');
const { Server } = require('socket.io');
const { read, serve } = require('./clients');

const server = http.createServer();
const io = new Server(server, {
  transports: ['polling'],
  connectionStateRecovery: {},
});
io.on('connection', (socket) => {
  const connection = {};
  socket.on('m', (text) => {
    if (text.startsWith('h ')) {
      const room = `client ${text.split(' ')[1]}`;
      socket.join(room);
      connection.send = (words) => io.to(room).emit('m', words);
    }
    read(connection, text);
  });
});
serve(server);
