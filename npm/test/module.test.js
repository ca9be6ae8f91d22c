// The module itself, and the size that a page must fetch with each entry.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
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

test('README: the size of each entry is about right', { skip: MAX_GZIPPED > 56_320 && 'not a build for size' }, async (t) => {
  const entries = { '`lowband-codec`': 'js/web.js', '`lowband-codec/inline`': 'js/inline.js', '`lowband-codec/init`': 'js/init.js', "`require('lowband-codec')`": 'cjs/lowband_codec.cjs' };
  for (const [name, file] of Object.entries(entries)) {
    const entry = new URL(`../${file}`, import.meta.url).pathname;
    const { outputFiles: [{ contents }] } = await build({ entryPoints: [entry], bundle: true, minify: true, format: 'esm', target: 'es2022', write: false });
    const size = gzipSync(contents, { level: 9 }).length;
    t.diagnostic(`${name}: ${size} bytes`);
    const row = README.split('\n').find((line) => line.startsWith(`| ${name} |`));
    const [, said, module] = /(\d+) KB(?:, and the module's (\d+) KB)? \|$/.exec(row);
    assert.ok(Math.abs(size / 1000 - said) < 1, `${name}: ${size}`);
    if (module !== undefined) assert.ok(Math.abs(gzipped / 1000 - module) < 1, `${gzipped}`);
  }
});
