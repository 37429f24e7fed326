// Queries look/graphql.mjs.
const post = async body => {
  const r = await fetch(process.argv[2], {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify(body),
  });
  console.log(r.status, await r.text());
};
await post({ query: '{ tools { name inputSchema } }', operationName: null });
await post({ query: 'query($v: String) { initialize(protocolVersion: $v) }', variables: { v: '2025-11-25' } });
await post({ query: 'mutation { call(method: "tools/call", name: "add") }' });
await post({ id: 1, method: 'tools/list', query: '{ tools { name } }' });
process.exit(0);
