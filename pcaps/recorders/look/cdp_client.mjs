// Talks the Chrome DevTools Protocol over WebSocket: JSON with id and method, without jsonrpc.
import WebSocket from 'ws';

const base = process.argv[2];
const targets = await (await fetch(`${base}/json/list`)).json();
await (await fetch(`${base}/json/version`)).json();
const path = new URL(targets[0].webSocketDebuggerUrl).pathname;
const ws = new WebSocket(base.replace('http', 'ws') + path, { perMessageDeflate: false });
await new Promise(done => ws.on('open', done));
let id = 0;
const send = (method, params = {}) => new Promise(done => {
  const mine = ++id;
  const seen = data => {
    if (JSON.parse(data).id === mine) { ws.off('message', seen); done(); }
  };
  ws.on('message', seen);
  ws.send(JSON.stringify({ id: mine, method, params }));
});
await send('Runtime.enable');
await send('Debugger.enable');
await send('Runtime.evaluate', { expression: 'JSON.stringify(globalThis.tools)', returnByValue: true });
await send('Runtime.evaluate', { expression: '({jsonrpc:"2.0",id:1,method:"tools/call"})', returnByValue: true });
await send('Profiler.enable');
ws.close();
process.exit(0);
