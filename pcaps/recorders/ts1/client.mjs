// An MCP client on the TypeScript SDK 1.x.
// node client.mjs URL [--sse] [--scene basic|full|resume|fallback] [--sessions N]
import { parseArgs } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const { values: opt, positionals: [url] } = parseArgs({
  allowPositionals: true,
  options: {
    sse: { type: 'boolean' },
    scene: { type: 'string', default: 'basic' },
    sessions: { type: 'string', default: '1' },
    name: { type: 'string', default: 'umbrella' },
    token: { type: 'string' },
  },
});
setTimeout(() => process.exit(9), 60000).unref();
const pause = ms => new Promise(done => setTimeout(done, ms));

function make() {
  const client = new Client({ name: opt.name, version: '3.0.7' },
    { capabilities: opt.scene === 'full' ? { sampling: {}, elicitation: {}, roots: { listChanged: true } } : {} });
  if (opt.scene === 'full') {
    client.setRequestHandler(CreateMessageRequestSchema, async () =>
      ({ role: 'assistant', model: 'small-1', content: { type: 'text', text: 'take a coat' } }));
    client.setRequestHandler(ElicitRequestSchema, async () => ({ action: 'accept', content: { sure: true } }));
    client.setRequestHandler(ListRootsRequestSchema, async () => ({ roots: [{ uri: 'file:///srv/weather' }] }));
  }
  return client;
}

const request = opt.token ? { requestInit: { headers: { Authorization: `Bearer ${opt.token}` } } } : {};
const attempt = async p => { try { await p; } catch (e) { console.log('as meant:', e.message); } };

async function basic(client) {
  await client.listTools();
  await client.callTool({ name: 'forecast', arguments: { city: 'Łódź' } });
  await client.callTool({ name: 'add', arguments: { a: 2, b: 40 } });
  await client.listResources();
  await client.readResource({ uri: 'weather://stations' });
  await client.listPrompts();
  await client.getPrompt({ name: 'report', arguments: { city: 'Bergen' } });
}

const scenes = {
  basic,
  async full(client) {
    await basic(client);
    await client.ping();
    await client.callTool({ name: 'watch', arguments: { steps: 3 } }, undefined, { onprogress() {} });
    await client.callTool({ name: 'ask_model', arguments: { question: 'Umbrella?' } });
    await client.callTool({ name: 'confirm', arguments: { city: '札幌' } });
    await client.listResourceTemplates();
    await attempt(client.callTool({ name: 'no_such_tool', arguments: {} }));
    await attempt(client.readResource({ uri: 'weather://nowhere' }));
    await client.sendRootsListChanged();
    await pause(200);
  },
  async resume(client) {
    await client.listTools();
    console.log(JSON.stringify(await client.callTool({ name: 'cut_stream', arguments: {} })));
  },
};

async function one() {
  let client = make();
  let transport;
  if (opt.scene === 'fallback') {
    // What the SDK's documentation tells clients to do: Streamable HTTP first, then HTTP+SSE.
    try {
      await client.connect(new StreamableHTTPClientTransport(new URL(url), request));
    } catch {
      client = make();
      await client.connect(new SSEClientTransport(new URL(url), request));
    }
    await basic(client);
    return client.close();
  }
  transport = opt.sse ? new SSEClientTransport(new URL(url), request) : new StreamableHTTPClientTransport(new URL(url), request);
  await client.connect(transport);
  await scenes[opt.scene](client);
  if (!opt.sse && transport.sessionId) await transport.terminateSession();
  await client.close();
}
await Promise.all(Array.from({ length: Number(opt.sessions) }, one));
process.exit(0);
