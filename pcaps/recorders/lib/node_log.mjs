// Preloaded with `node --import`: writes what every HTTP server of this process
// receives and sends as JSON lines (see lib/truth.py).
import fs from 'node:fs';
import http from 'node:http';

const path = process.env.RECORD_LOG;
const fd = fs.openSync(path, 'a');
let next = 0;
const b64 = (c, enc) => Buffer.from(c, typeof enc === 'string' ? enc : undefined).toString('base64');
const write = (x, ev, rest) =>
  fs.writeSync(fd, JSON.stringify({ x, t: Date.now() / 1000, ev, ...rest }) + '\n');
const pairs = raw => {
  const out = [];
  for (let i = 0; i + 1 < raw.length; i += 2) out.push([raw[i], raw[i + 1]]);
  return out;
};
const given = h => {
  if (!h) return [];
  if (Array.isArray(h)) return Array.isArray(h[0]) ? h : pairs(h);
  return Object.entries(h).map(([k, v]) => [k, String(v)]);
};

function watch(req, res) {
  const x = `${process.pid}-${next++}`;
  write(x, 'req', { method: req.method, path: req.url, version: req.httpVersion, headers: pairs(req.rawHeaders) });
  const push = req.push;
  req.push = function (chunk, enc) {
    if (chunk !== null) write(x, 'reqbody', { b: b64(chunk, enc) });
    return push.call(this, chunk, enc);
  };
  let begun = false;
  const begin = (status, extra) => {
    if (begun) return;
    begun = true;
    const headers = Object.entries(res.getHeaders()).map(([k, v]) => [k, String(v)]);
    write(x, 'resp', { status: status ?? res.statusCode, headers: headers.concat(extra ?? []) });
  };
  const { writeHead, write: send, end } = res;
  res.writeHead = function (status, a, b) {
    begin(status, given(typeof a === 'string' ? b : a));
    return writeHead.apply(this, arguments);
  };
  res.write = function (chunk, enc) {
    begin();
    if (chunk?.length) write(x, 'respbody', { b: b64(chunk, enc) });
    return send.apply(this, arguments);
  };
  res.end = function (chunk, enc) {
    begin();
    if (chunk && typeof chunk !== 'function' && !res.writableEnded) write(x, 'respbody', { b: b64(chunk, enc) });
    return end.apply(this, arguments);
  };
}

const emit = http.Server.prototype.emit;
http.Server.prototype.emit = function (event, req, res) {
  if (event === 'request') watch(req, res);
  return emit.apply(this, arguments);
};
