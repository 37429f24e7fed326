// A GraphQL server on graphql-http.
import http from 'node:http';
import { parseArgs } from 'node:util';
import { buildSchema } from 'graphql';
import { createHandler } from 'graphql-http/lib/use/http';

const { values: opt } = parseArgs({ options: { port: { type: 'string', default: '4000' } } });
const schema = buildSchema(`
  type Tool { name: String, inputSchema: String }
  type Query { tools: [Tool], initialize(protocolVersion: String): String }
  type Mutation { call(method: String!, name: String): String }`);
const rootValue = {
  tools: [{ name: 'add', inputSchema: '{"type":"object"}' }],
  initialize: ({ protocolVersion }) => protocolVersion,
  call: ({ method }) => `called ${method}`,
};
const handler = createHandler({ schema, rootValue });
http.createServer((req, res) => (req.url.startsWith('/graphql') ? handler(req, res) : res.writeHead(404).end()))
  .listen(Number(opt.port), '0.0.0.0');
