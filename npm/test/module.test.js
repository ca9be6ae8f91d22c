// The module itself: the size that a page must fetch.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { README } from './readme.js';

const module = readFileSync(new URL('../pkg/lowband_codec_bg.wasm', import.meta.url));
const gzipped = gzipSync(module, { level: 9 }).length;

// The limit for a build with the size-optimised library; for any other the Makefile sets it.
const MAX_GZIPPED = Number(process.env.LOWBAND_NPM_MAX_GZIPPED ?? 56_320);

test(`the module has at most ${MAX_GZIPPED} bytes gzipped`, (t) => {
  t.diagnostic(`${gzipped} bytes`);
  assert.ok(gzipped <= MAX_GZIPPED, `${gzipped} bytes`);
});

test('the module asks for nothing but what wasm-bindgen needs', () => {
  const imports = WebAssembly.Module.imports(new WebAssembly.Module(module));
  for (const { name } of imports) assert.match(name, /^__wbindgen_|^__wbg_/);
  assert.ok(imports.length < 10, JSON.stringify(imports));
});

test('README: the size is about right', { skip: MAX_GZIPPED > 56_320 && 'not a build for size' }, () => {
  const [, said, inline] = /fetches (\d+) KB of gzipped WebAssembly, and (\d+) KB where the module is inline/.exec(README);
  assert.ok(Math.abs(gzipped / 1000 - said) < 2, `${gzipped}`);
  const text = gzipSync(readFileSync(new URL('../pkg/module-hex.js', import.meta.url)), { level: 9 }).length;
  assert.ok(Math.abs(text / 1000 - inline) < 2, `${text}`);
});
