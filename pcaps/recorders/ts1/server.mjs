// An MCP server on the TypeScript SDK 1.x: a weather desk.
// node server.mjs --port 8000 [--json] [--stateless] [--sse] [--events]
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import express from 'express';
import { z } from 'zod';

const { values: opt } = parseArgs({
  options: {
    port: { type: 'string', default: '8000' },
    json: { type: 'boolean' },
    stateless: { type: 'boolean' },
    sse: { type: 'boolean' },
    events: { type: 'boolean' },
    'express-json': { type: 'boolean' },
  },
});
const said = text => ({ content: [{ type: 'text', text }] });
const pause = ms => new Promise(done => setTimeout(done, ms));

function build() {
  const mcp = new McpServer(
    { name: 'weather-desk', version: '0.9.3' },
    { capabilities: { logging: {}, resources: { subscribe: true, listChanged: true } } });
  mcp.registerTool('forecast', { description: 'The weather of a city', inputSchema: { city: z.string() } },
    async ({ city }) => said(`${city}: 17 °C, light rain`));
  mcp.registerTool('add', { description: 'Adds two numbers', inputSchema: { a: z.number(), b: z.number() } },
    async ({ a, b }) => said(String(a + b)));
  mcp.registerTool('watch', { description: 'Progress and log messages', inputSchema: { steps: z.number() } },
    async ({ steps }, extra) => {
      for (let i = 1; i <= steps; i++) {
        const progressToken = extra._meta?.progressToken;
        if (progressToken !== undefined)
          await extra.sendNotification({ method: 'notifications/progress', params: { progressToken, progress: i, total: steps } });
        await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data: { step: i } } });
        await pause(20);
      }
      return said('watched');
    });
  mcp.registerTool('ask_model', { description: 'Sampling', inputSchema: { question: z.string() } },
    async ({ question }, extra) => {
      const { CreateMessageResultSchema } = await import('@modelcontextprotocol/sdk/types.js');
      const r = await extra.sendRequest({
        method: 'sampling/createMessage',
        params: { messages: [{ role: 'user', content: { type: 'text', text: question } }], maxTokens: 32 },
      }, CreateMessageResultSchema);
      return said(`model said ${r.content.text}`);
    });
  mcp.registerTool('confirm', { description: 'Elicitation', inputSchema: { city: z.string() } },
    async ({ city }, extra) => {
      const { ElicitResultSchema } = await import('@modelcontextprotocol/sdk/types.js');
      const r = await extra.sendRequest({
        method: 'elicitation/create',
        params: {
          message: `Alert for ${city}?`,
          requestedSchema: { type: 'object', properties: { sure: { type: 'boolean' } }, required: ['sure'] },
        },
      }, ElicitResultSchema);
      return said(r.action);
    });
  mcp.registerTool('cut_stream', { description: 'Closes the answer stream, answers later', inputSchema: {} },
    async (_, extra) => {
      extra.closeSSEStream?.();
      await pause(700);
      return said('answered on the resumed stream');
    });
  mcp.registerResource('stations', 'weather://stations', { mimeType: 'application/json' },
    async uri => ({ contents: [{ uri: uri.href, mimeType: 'application/json', text: '["Bergen","Łódź","札幌"]' }] }));
  mcp.registerResource('station', new ResourceTemplate('weather://station/{name}', { list: undefined }), {},
    async (uri, { name }) => ({ contents: [{ uri: uri.href, text: String(name) }] }));
  mcp.registerPrompt('report', { description: 'A weather report', argsSchema: { city: z.string() } },
    ({ city }) => ({ messages: [{ role: 'user', content: { type: 'text', text: `Weather report for ${city}` } }] }));
  return mcp;
}

class Events {
  all = [];
  async storeEvent(stream, message) {
    this.all.push({ stream, message });
    return `${stream}_${this.all.length}`;
  }
  async getStreamIdForEventId(id) {
    return this.all[Number(id.split('_').pop()) - 1]?.stream;
  }
  async replayEventsAfter(last, { send }) {
    const at = Number(last.split('_').pop());
    const stream = this.all[at - 1].stream;
    for (let i = at; i < this.all.length; i++) {
      const e = this.all[i];
      if (e.stream === stream && Object.keys(e.message).length) await send(`${stream}_${i + 1}`, e.message);
    }
    return stream;
  }
}

const app = express();
if (opt['express-json']) app.use(express.json({ limit: '1mb' }));
const sessions = new Map();
const refuse = (res, status) =>
  res.status(status).json({ jsonrpc: '2.0', error: { code: -32000, message: 'No valid session' }, id: null });

if (opt.sse) {
  app.get('/sse', async (req, res) => {
    const transport = new SSEServerTransport('/messages', res);
    sessions.set(transport.sessionId, transport);
    res.on('close', () => sessions.delete(transport.sessionId));
    await build().connect(transport);
  });
  app.post('/messages', async (req, res) => {
    const transport = sessions.get(req.query.sessionId);
    if (!transport) return refuse(res, 400);
    await transport.handlePostMessage(req, res, req.body);
  });
} else {
  app.all('/mcp', async (req, res) => {
    const id = req.headers['mcp-session-id'];
    let transport = id && sessions.get(id);
    if (id && !transport) return refuse(res, 404);
    if (!transport) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: opt.stateless ? undefined : () => randomUUID(),
        enableJsonResponse: opt.json,
        eventStore: opt.events ? new Events() : undefined,
        retryInterval: opt.events ? 200 : undefined,
        onsessioninitialized: sid => { sessions.set(sid, transport); },
        onsessionclosed: sid => { sessions.delete(sid); },
      });
      await build().connect(transport);
    }
    await transport.handleRequest(req, res, req.body);
  });
}
app.listen(Number(opt.port), '0.0.0.0');
