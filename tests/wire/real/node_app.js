// A server on Node's http that writes down what it read: node node_app.js PORT JOURNAL
const fs = require('node:fs');
const http = require('node:http');
const [port, journal] = process.argv.slice(2);
http.createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const raw = request.rawHeaders;
    const headers = [];
    for (let at = 0; at < raw.length; at += 2) headers.push([raw[at], raw[at + 1]]);
    const body = Buffer.concat(pieces).toString('hex');
    fs.appendFileSync(journal, JSON.stringify({method: request.method, target: request.url, headers, body}) + '\n');
    const decision = request.headers['x-sidegate-decision'] ?? 'none';
    response.writeHead(200, {'Content-Type': 'text/plain', 'Content-Length': decision.length});
    response.end(decision);
  });
}).listen(Number(port), '127.0.0.1');
