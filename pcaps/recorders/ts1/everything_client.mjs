// A client of @modelcontextprotocol/server-everything on the TypeScript SDK 1.x.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js';

setTimeout(() => process.exit(9), 60000).unref();
const url = new URL(process.argv[2]);
const sse = process.argv.includes('--sse');
const client = new Client({ name: 'explorer', version: '0.11.0' },
  { capabilities: { sampling: {}, elicitation: {}, roots: { listChanged: true } } });
client.setRequestHandler(CreateMessageRequestSchema, async () =>
  ({ role: 'assistant', model: 'small-1', content: { type: 'text', text: 'hello' } }));
client.setRequestHandler(ElicitRequestSchema, async () => ({ action: 'decline' }));
client.setRequestHandler(ListRootsRequestSchema, async () => ({ roots: [{ uri: 'file:///srv/everything' }] }));
const transport = sse ? new SSEClientTransport(url) : new StreamableHTTPClientTransport(url);
await client.connect(transport);
const { tools } = await client.listTools();
const attempt = async p => { try { await p; } catch (e) { console.log('as meant:', e.message); } };
const has = name => tools.some(t => t.name === name);
const calls = {
  echo: { message: 'Grüße, 世界' },
  'get-sum': { a: 2, b: 40 },
  'trigger-long-running-operation': { duration: 1, steps: 3 },
  'trigger-sampling-request': { prompt: 'Hello?', maxTokens: 20 },
  'trigger-elicitation-request': {},
  'get-tiny-image': {},
  'get-annotated-message': { messageType: 'success', includeImage: false },
  'get-structured-content': { location: 'Chicago' },
  'get-roots-list': {},
};
for (const [name, args] of Object.entries(calls))
  if (has(name)) await attempt(client.callTool({ name, arguments: args }, undefined, { onprogress() {} }));
console.log(tools.map(t => t.name).join(' '));
const { resources } = await client.listResources();
if (resources.length) await attempt(client.readResource({ uri: resources[0].uri }));
await client.listResourceTemplates();
const { prompts } = await client.listPrompts();
console.log(prompts.map(p => p.name).join(' '));
await attempt(client.getPrompt({ name: prompts[0].name }));
await attempt(client.complete({
  ref: { type: 'ref/prompt', name: 'completable-prompt' }, argument: { name: 'department', value: 'E' } }));
await attempt(client.callTool({ name: 'no-such-tool', arguments: {} }));
await new Promise(done => setTimeout(done, 300));
if (!sse && transport.sessionId) await transport.terminateSession();
await client.close();
process.exit(0);
