// The modules themselves: what a page has to fetch.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { README } from './readme.js';

const moduleFor = (name) => readFileSync(new URL(`../pkg/${name}_bg.wasm`, import.meta.url));

// Of a build with the library for size; elsewhere the Makefile says what to expect.
const MAX_GZIPPED = Number(process.env.LOWBAND_NPM_MAX_GZIPPED ?? 50_000);

const gzipped = (module) => gzipSync(module, { level: 9 }).length;

for (const name of ['documents', 'streams']) {
  const module = moduleFor(name);

  test(`the module for ${name} has at most ${MAX_GZIPPED} bytes gzipped`, (t) => {
    t.diagnostic(`${gzipped(module)} bytes`);
    assert.ok(gzipped(module) <= MAX_GZIPPED, `${gzipped(module)} bytes`);
  });

  test(`the module for ${name} asks for nothing but what wasm-bindgen needs`, () => {
    const imports = WebAssembly.Module.imports(new WebAssembly.Module(module));
    for (const { name } of imports) assert.match(name, /^__wbindgen_|^__wbg_/);
    assert.ok(imports.length < 10, JSON.stringify(imports));
  });
}

test('README: the sizes are about right', { skip: MAX_GZIPPED > 50_000 && 'not a build for size' }, () => {
  const [, first, second] = /fetches (\d+) KB of gzipped WebAssembly, and (\d+) KB more/.exec(README);
  for (const [said, name] of [[first, 'documents'], [second, 'streams']]) {
    assert.ok(Math.abs(gzipped(moduleFor(name)) / 1000 - said) < 2, `${name}: ${gzipped(moduleFor(name))}`);
  }
});
