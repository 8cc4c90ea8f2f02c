// Answers with what Node's http parsed, as `src/hostile/parsed.rs` reads it: hexadecimal parts with dots between.
'use strict';

const http = require('http');

function hex(text) {
  return Buffer.from(text, 'latin1').toString('hex');
}

// The path as most frameworks route by it.
function routed(target) {
  try {
    return Buffer.from(decodeURIComponent(new URL(target, 'http://upstream').pathname)).toString('hex');
  } catch (error) {
    return hex('!' + error.message);
  }
}

const server = http.createServer({ maxHeaderSize: 256 * 1024, requestTimeout: 0 }, (request, response) => {
  const socket = request.socket;
  socket.requests = (socket.requests || 0) + 1;
  const nth = socket.requests;
  const body = [];
  request.on('data', (piece) => body.push(piece));
  request.on('end', () => {
    const fields = [];
    for (let at = 0; at < request.rawHeaders.length; at += 2) {
      fields.push(hex(request.rawHeaders[at]) + '=' + hex(request.rawHeaders[at + 1]));
    }
    const parts = [nth, hex(request.method), hex(request.url), routed(request.url), Buffer.concat(body).toString('hex')];
    response.writeHead(200, { 'X-Parsed': parts.concat(fields).join('.'), 'Content-Length': 3 });
    response.end('{}\n');
  });
});
server.maxHeadersCount = 0;
server.keepAliveTimeout = 0;
server.headersTimeout = 0;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
// It ends with the task that started it.
process.stdin.resume().on('end', () => process.exit());
