// A client of the bookshop servers (py/server1.py, py/server2.py) on the TypeScript SDK 1.x.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

setTimeout(() => process.exit(9), 60000).unref();
const client = new Client({ name: 'umbrella', version: '3.0.7' });
const transport = new StreamableHTTPClientTransport(new URL(process.argv[2]));
await client.connect(transport);
await client.listTools();
await client.callTool({ name: 'lookup', arguments: { title: 'Šteger – 東京' } });
await client.callTool({ name: 'add', arguments: { a: 2, b: 40 } });
await client.listResources();
await client.readResource({ uri: 'shop://stock' });
await client.listPrompts();
if (transport.sessionId) await transport.terminateSession();
await client.close();
process.exit(0);
