// The package beside the usual ways in Chromium. Not gated: the code that V8 makes of encodeObject is twice
// as fast in one page as in another.

import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { Browser } from '../test/browser.js';
import { report } from './report.js';

// A page has a clock of 0.1 ms.
const ROUNDS = Number(process.env.ROUNDS ?? 300) / 5;
const ROUND_MS = 10;

const PAGE = `
  import * as cborX from 'cbor-x';
  import { compare } from './compare.js';

  const sync = await (await fetch('./sync.js')).arrayBuffer();
  const results = compare(cborX, new Uint8Array(sync), ${ROUNDS}, ${ROUND_MS});
  document.querySelector('output').textContent = JSON.stringify(results);
`;

const ends = [];
const folder = mkdtempSync(join(tmpdir(), 'lowband-npm-bench-'));
try {
  const stdin = { contents: PAGE, resolveDir: fileURLToPath(new URL('.', import.meta.url)) };
  await build({ stdin, bundle: true, format: 'esm', outfile: join(folder, 'page.js'), logLevel: 'warning' });
  writeFileSync(join(folder, 'index.html'), '<!doctype html><output></output><script type="module" src="./page.js"></script>');
  copyFileSync(new URL('../../codec/tests/data/sync-medium.json', import.meta.url), join(folder, 'sync.js'));
  const browser = await Browser.open({ after: (end) => ends.unshift(end) }, folder);
  report('Chromium', JSON.parse(await browser.output('index.html')), false);
} finally {
  for (const end of ends) await end();
  rmSync(folder, { recursive: true });
}
