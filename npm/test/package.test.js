// The package as its users get it: packed, installed into an empty project, and used from Node, TypeScript, a
// page built by Vite, and a page without a build.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createServer } from 'vite';
import { Browser } from './browser.js';
import { Project } from './project.js';
import { blocks } from './readme.js';
import { PAGE, SAID } from './said.js';

const TSC = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));
const OLDEST_TSC = fileURLToPath(new URL('../node_modules/typescript-oldest/bin/tsc', import.meta.url));
const VITE = fileURLToPath(new URL('../node_modules/vite/bin/vite.js', import.meta.url));

test('the package', async (t) => {
  const project = await Project.make(t);

  await t.test('holds what is used, its types, licence and README, and nothing else', async () => {
    const found = (await project.run('find', 'node_modules', '-type', 'f', '-printf', '%P\n')).trim().split('\n');
    const names = found.filter((name) => name !== '.package-lock.json').sort();
    assert.deepEqual(names.filter((name) => !/^lowband-codec\/(cjs|js|pkg)\//.test(name)), [
      'lowband-codec/LICENSE',
      'lowband-codec/README.md',
      'lowband-codec/package.json',
    ]);
    const wasm = names.filter((name) => name.endsWith('.wasm'));
    assert.deepEqual(wasm, ['lowband-codec/pkg/lowband_codec_bg.wasm']);
  });

  for (const [place, { text, output }] of blocks('js').entries()) {
    await t.test(`README: example ${place + 1} prints what it says`, async () => {
      project.write('example.js', text);
      assert.equal(await project.run('node', 'example.js'), output ?? '');
    });
  }

  await t.test('README: the TypeScript example compiles under --strict, with the oldest compiler too', async () => {
    project.write('example.ts', blocks('ts')[0].text);
    const types = readFileSync(new URL('types.ts', import.meta.url), 'utf8');
    project.write('types.ts', types);
    // The same of a project of CommonJS, but for the entry that has no such form.
    project.write('types.cts', types.replace(/^import .*lowband-codec\/init';\n/m, '').replace(/^(\/\/ @ts-expect-error init .*|.*\binit\(.*)\n/gm, ''));
    const compile = async (tsc, target, module, moduleResolution) => {
      const options = ['--strict', '--exactOptionalPropertyTypes', '--noEmit', '--target', target];
      const how = ['--module', module, '--moduleResolution', moduleResolution];
      await project.run('node', tsc, ...options, ...how, 'example.ts', 'types.ts', 'types.cts');
    };
    await Promise.all([
      compile(TSC, 'es2024', 'nodenext', 'nodenext'),
      compile(TSC, 'es2024', 'esnext', 'bundler'),
      compile(OLDEST_TSC, 'es2022', 'node16', 'node16'),
    ]);
  });

  await t.test('README: the page without a bundler says what it should in Chromium', async (t) => {
    project.write('plain.html', blocks('html')[0].text);
    const browser = await Browser.open(t, project.dir);
    assert.equal(await browser.output('plain.html'), '15 bytes: {"body":"Hello World"}');
  });

  project.write('index.html', '<!doctype html><output></output><script type="module" src="/main.js"></script>');
  project.write('main.js', PAGE);

  await t.test('a page that Vite built says what it should in Chromium', async (t) => {
    await project.run('node', VITE, 'build', '--logLevel', 'error');
    const browser = await Browser.open(t, project.path('dist'));
    assert.deepEqual(JSON.parse(await browser.output('index.html')), SAID);
  });

  await t.test('so does one that comes from the development server of Vite', async (t) => {
    const server = await createServer({ root: project.dir, logLevel: 'error', server: { host: '127.0.0.1', port: 0 } });
    t.after(() => server.close());
    await server.listen();
    const browser = await Browser.open(t, project.dir);
    browser.origin = `http://127.0.0.1:${server.httpServer.address().port}`;
    assert.deepEqual(JSON.parse(await browser.output('index.html')), SAID);
  });
});
