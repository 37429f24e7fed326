// An Ethereum node for tests: ganache.
import { parseArgs } from 'node:util';
import ganache from 'ganache';

const { values: opt } = parseArgs({ options: { port: { type: 'string', default: '8545' } } });
const server = ganache.server({ wallet: { deterministic: true }, logging: { quiet: true } });
server.listen(Number(opt.port), '0.0.0.0');
