// An MCP server on the TypeScript SDK 2.x (2026-07-28; older clients are served statelessly).
// node server.mjs --port 8000 [--mode auto|sse|json]
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, inputRequired, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

const { values: opt } = parseArgs({
  options: { port: { type: 'string', default: '8000' }, mode: { type: 'string', default: 'auto' } },
});
const said = text => ({ content: [{ type: 'text', text }] });

const handler = createMcpHandler(() => {
  const mcp = new McpServer({ name: 'weather-desk-next', version: '2.1.0' }, { capabilities: { logging: {} } });
  mcp.registerTool('forecast', { description: 'The weather of a city', inputSchema: z.object({ city: z.string() }) },
    async ({ city }) => said(`${city}: 17 °C, light rain`));
  mcp.registerTool('add', { description: 'Adds two numbers', inputSchema: z.object({ a: z.number(), b: z.number() }) },
    async ({ a, b }) => said(String(a + b)));
  mcp.registerTool('watch', { description: 'Progress', inputSchema: z.object({ steps: z.number() }) },
    async ({ steps }, ctx) => {
      for (let i = 1; i <= steps; i++) {
        const progressToken = ctx.mcpReq._meta?.progressToken;
        if (progressToken !== undefined)
          await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: i, total: steps } });
      }
      return said('watched');
    });
  mcp.registerTool('confirm', { description: 'Elicitation', inputSchema: z.object({ city: z.string() }) },
    async ({ city }, ctx) => {
      if (ctx.mcpReq.inputResponses) return said('confirmed');
      return inputRequired({
        inputRequests: {
          sure: inputRequired.elicit({
            message: `Alert for ${city}?`,
            requestedSchema: { type: 'object', properties: { sure: { type: 'boolean' } }, required: ['sure'] },
          }),
        },
      });
    });
  mcp.registerResource('stations', 'weather://stations', { mimeType: 'application/json' },
    async uri => ({ contents: [{ uri: uri.href, mimeType: 'application/json', text: '["Bergen","Łódź","札幌"]' }] }));
  mcp.registerPrompt('report', { description: 'A weather report', argsSchema: z.object({ city: z.string() }) },
    ({ city }) => ({ messages: [{ role: 'user', content: { type: 'text', text: `Weather report for ${city}` } }] }));
  return mcp;
}, { responseMode: opt.mode });
createServer(toNodeHandler(handler)).listen(Number(opt.port), '0.0.0.0');
