// Node's fetch: node fetching.mjs FOLDER TOKEN; prints what it got as JSON.
import {createHash} from 'node:crypto';

const [folder, token] = process.argv.slice(2);
const framing = new Set(['connection', 'keep-alive', 'transfer-encoding', 'trailer']);
const made = [];
const body = Buffer.alloc(300000, 'abcdefg');

async function take(what, name, options = {}) {
  const headers = {authorization: `Bearer ${token}`, ...options.headers};
  const answer = await fetch(`${folder}/${name}`, {redirect: 'manual', ...options, headers});
  const bytes = Buffer.from(await answer.arrayBuffer());
  const kept = [...answer.headers].filter(([key]) => !framing.has(key));
  made.push([what, answer.status, answer.statusText, kept, bytes.length, createHash('sha256').update(bytes).digest('hex')]);
}

const names = ['data.json', 'packed', 'big', 'chunks', 'elsewhere', 'login', 'events', 'hints', 'missing', 'endless'];
for (const name of names) await take(name, name);
await take('followed', 'elsewhere', {redirect: 'follow'});
await take('head', 'big', {method: 'HEAD'});
await take('range', 'big', {headers: {range: 'bytes=3-8'}});
await take('put', 'put', {method: 'PUT', body});
const pieces = new ReadableStream({
  start(controller) {
    for (let at = 0; at < body.length; at += 10000) controller.enqueue(body.subarray(at, at + 10000));
    controller.close();
  },
});
await take('chunks', 'post', {method: 'POST', body: pieces, duplex: 'half'});
await take('form', 'form', {method: 'POST', body: new URLSearchParams({a: 'b c', d: 'ü'})});
await take('delete', 'gone', {method: 'DELETE'});
const answer = await fetch(`${folder}/events`, {headers: {authorization: `Bearer ${token}`}});
let text = '';
for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) text += piece;
made.push(['stream', text]);
console.log(JSON.stringify(made));
