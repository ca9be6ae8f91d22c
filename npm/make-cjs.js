// Makes the form of the package for `require`, of the entry with the module in it: Parcel and Jest take no
// other by default.

import { build } from 'esbuild';
import { readFileSync, writeFileSync } from 'node:fs';

await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: ['js/inline.js'],
  outfile: 'cjs/lowband_codec.cjs',
  bundle: true,
  format: 'cjs',
  target: 'es2022',
  logLevel: 'warning',
});

// A file of CommonJS cannot name the types of an ES module, so they are copied.
const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');
const [kinds] = /^\/\*\*[^\n]*\*\/\nexport type ErrorKind =.*?;$/ms.exec(read('pkg/error-kinds.d.ts'));
const ours = /^import type .*;\n\nexport type \{ ErrorKind \};$/m;
const types = read('js/index.d.ts');
if (!ours.test(types)) throw new Error('js/index.d.ts does not begin with the kinds of errors');
// `export {}` keeps what is not exported from being so.
writeFileSync(new URL('cjs/lowband_codec.d.cts', import.meta.url), types.replace(ours, `${kinds}\n\nexport {};`));
