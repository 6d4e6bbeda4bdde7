// SockJS at /callback on a free port of 127.0.0.1, which it prints: every
// message is posted to the application at the URL of the first argument, and
// what it replies is sent back, as polysocket does it; over connections that
// are kept. The application gets the same body with the same signature, but a
// message is lost with the process. As sockjs-echo/server.js otherwise.
'use strict';

const crypto = require('crypto');
const http = require('http');
const sockjs = require('sockjs');

const url = process.argv[2];
const agent = new http.Agent({ keepAlive: true });
const key = crypto.randomBytes(24);
let calls = 0;

function call(connection, message) {
  const body = JSON.stringify({
    message, session: connection.id, client: 'bench',
  });
  const id = `msg_${connection.id}_${++calls}`;
  const timestamp = Math.floor(Date.now() / 1000);
  const signature = crypto.createHmac('sha256', key)
    .update(`${id}.${timestamp}.${body}`).digest('base64');
  const request = http.request(url, {
    agent,
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${signature}`,
    },
  }, (response) => {
    let reply = '';
    response.setEncoding('utf8');
    response.on('data', (text) => { reply += text; });
    response.on('end', () => {
      if (response.statusCode !== 200) {
        throw new Error(`the application answers ${response.statusCode}`);
      }
      if (reply !== '') {
        connection.write(JSON.parse(reply).message);
      }
    });
  });
  request.end(body);
}

const service = sockjs.createServer({ log: () => {} });
service.on('connection', (connection) => {
  connection.on('data', (message) => call(connection, message));
});

const server = http.createServer();
service.installHandlers(server, { prefix: '/callback' });
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  console.log(server.address().port);
});
