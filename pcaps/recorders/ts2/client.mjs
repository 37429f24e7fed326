// An MCP client on the TypeScript SDK 2.x.
// node client.mjs URL [--mode auto|legacy|2026-07-28] [--scene basic|full]
import { parseArgs } from 'node:util';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const { values: opt, positionals: [url] } = parseArgs({
  allowPositionals: true,
  options: { mode: { type: 'string', default: 'auto' }, scene: { type: 'string', default: 'basic' } },
});
setTimeout(() => process.exit(9), 60000).unref();
const mode = /^\d/.test(opt.mode) ? { pin: opt.mode } : opt.mode;
const client = new Client({ name: 'umbrella-next', version: '4.1.0' },
  { capabilities: opt.scene === 'full' ? { elicitation: {} } : {}, versionNegotiation: { mode } });
if (opt.scene === 'full')
  client.setRequestHandler('elicitation/create', async () => ({ action: 'accept', content: { sure: true } }));
const attempt = async p => { try { await p; } catch (e) { console.log('as meant:', e.message); } };

await client.connect(new StreamableHTTPClientTransport(new URL(url)));
await client.listTools();
await client.callTool({ name: 'forecast', arguments: { city: 'Łódź' } });
await client.callTool({ name: 'add', arguments: { a: 2, b: 40 } });
await client.listResources();
await client.readResource({ uri: 'weather://stations' });
await client.listPrompts();
await client.getPrompt({ name: 'report', arguments: { city: '札幌' } });
if (opt.scene === 'full') {
  await client.callTool({ name: 'watch', arguments: { steps: 3 } }, { onprogress() {} });
  await client.callTool({ name: 'confirm', arguments: { city: 'Bergen' } });
  await attempt(client.callTool({ name: 'no_such_tool', arguments: {} }));
}
await client.close();
process.exit(0);
