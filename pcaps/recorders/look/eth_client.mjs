// Ethereum JSON-RPC over HTTP and WebSocket, with a batch.
import WebSocket from 'ws';

const url = process.argv[2];
let id = 0;
const m = (method, ...params) => ({ jsonrpc: '2.0', id: ++id, method, params });
const post = async body => {
  const r = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  return r.json();
};
await post(m('web3_clientVersion'));
await post(m('net_version'));
const { result: [from, to] } = await post(m('eth_accounts'));
await post([m('eth_blockNumber'), m('eth_chainId'), m('eth_getBalance', from, 'latest')]);
const { result: hash } = await post(m('eth_sendTransaction', { from, to, value: '0x10' }));
await post(m('eth_getTransactionReceipt', hash));
await post(m('eth_call', { to, data: '0x' }, 'latest'));
await post(m('no_such_method'));
const ws = new WebSocket(url.replace('http', 'ws'));
await new Promise(done => ws.on('open', done));
const answer = () => new Promise(done => ws.once('message', done));
for (const one of [m('eth_subscribe', 'newHeads'), m('eth_blockNumber'), m('evm_mine')]) {
  ws.send(JSON.stringify(one));
  await answer();
}
await new Promise(done => setTimeout(done, 300));
ws.close();
process.exit(0);
