// The page of the tests, and what it says when the package works.

import { readFileSync } from 'node:fs';

export const PAGE = readFileSync(new URL('page.js', import.meta.url), 'utf8');

export const SAID = {
  cbor: 'a2181c666d2e74657874181b6548656c6c6f',
  json: '{"msgtype":"m.text","body":"Hello"}',
  error: ['CodecError', 'trailing_comma', 3],
  value: { msgtype: 'm.text', body: 'ü€😀 and a longer text' },
  streamed: '{"msgtype":"m.text","body":"Hello"}',
};
