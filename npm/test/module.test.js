// The modules themselves: what a page has to fetch.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

// Of a build with the library for size; elsewhere the Makefile says what to expect.
const MAX_GZIPPED = Number(process.env.LOWBAND_NPM_MAX_GZIPPED ?? 50_000);

for (const name of ['documents', 'streams']) {
  const module = readFileSync(new URL(`../pkg/${name}_bg.wasm`, import.meta.url));

  test(`the module for ${name} has at most ${MAX_GZIPPED} bytes gzipped`, (t) => {
    const { length } = gzipSync(module, { level: 9 });
    t.diagnostic(`${length} bytes`);
    assert.ok(length <= MAX_GZIPPED, `${length} bytes`);
  });

  test(`the module for ${name} asks for nothing but what wasm-bindgen needs`, () => {
    const imports = WebAssembly.Module.imports(new WebAssembly.Module(module));
    for (const { name } of imports) assert.match(name, /^__wbindgen_|^__wbg_/);
    assert.ok(imports.length < 10, JSON.stringify(imports));
  });
}
