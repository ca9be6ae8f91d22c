// The entries of the package without top-level await, where the other one cannot go: workers, service
// workers, plain scripts, pages from disk, and `require`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { decodeToString, encode } from 'lowband-codec';
import { Browser } from './browser.js';
import { Project } from './project.js';
import { blocks } from './readme.js';
import { PAGE, SAID } from './said.js';

const VITE = fileURLToPath(new URL('../node_modules/vite/bin/vite.js', import.meta.url));
const ESBUILD = fileURLToPath(new URL('../node_modules/esbuild/bin/esbuild', import.meta.url));

const INLINE = './node_modules/lowband-codec/js/inline.js';
const INIT = './node_modules/lowband-codec/js/init.js';

/** Returns the block of the README that begins with this comment. */
function example(file) {
  const { text } = blocks('javascript').find(({ text }) => text.startsWith(`// ${file}\n`));
  return text;
}

// Three messages, the first ones before the worker has been read.
const ASKS = `
const said = [];
worker.onmessage = ({ data }) => {
  said.push([...data].join());
  if (said.length === 3) document.querySelector('output').textContent = said.join(' ');
};
worker.onerror = ({ message }) => { throw new Error('the worker did not start: ' + message); };
worker.postMessage('[1]');
worker.postMessage('[2]');
setTimeout(() => worker.postMessage('[3]'), 50);
`;
const ANSWERED = '129,1 129,2 129,3';

const makes = (address) => `const worker = new Worker(${address}, { type: 'module' });`;
const page = (script) => `<!doctype html><output></output><script type="module">${script}</script>`;

test('entries without top-level await', async (t) => {
  const project = await Project.make(t);

  for (const [name, entry, prelude] of [
    ['inline', INLINE, ''],
    ['init', INIT, `const started = init('./node_modules/lowband-codec/pkg/lowband_codec_bg.wasm');`],
  ]) {
    await t.test(`a module worker without a bundler answers what came before it was read: ${name}`, async (t) => {
      const worker =
        name === 'inline'
          ? example('worker.js').replace('lowband-codec/inline', entry)
          : `import { encode, init } from '${entry}'; ${prelude}
             onmessage = async ({ data }) => { await started; postMessage(encode(data)); };`;
      project.write(`${name}-worker.js`, worker);
      project.write(`${name}.html`, page(`${makes(`'./${name}-worker.js'`)} ${ASKS}`));
      const browser = await Browser.open(t, project.dir);
      assert.equal(await browser.output(`${name}.html`), ANSWERED);
    });
  }

  await t.test('README: a module service worker turns JSON into CBOR and back', async (t) => {
    project.write('sw.js', example('sw.js'));
    project.write('empty.html', page(''));
    const asked = [];
    const browser = await Browser.open(t, project.dir, (request, response) => {
      if (!request.url.startsWith('/_matrix/')) return false;
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks);
        asked.push([request.method, request.headers['content-type'], body.length > 0 ? decodeToString(body) : '']);
        response.writeHead(201, { 'content-type': 'application/cbor' }).end(encode('{"event_id":"$1"}'));
      });
      return true;
    });
    await browser.page.goto(`${browser.origin}/empty.html`);
    await browser.page.evaluate(async () => {
      await navigator.serviceWorker.register('./sw.js', { type: 'module' });
      await navigator.serviceWorker.ready;
    });
    await browser.page.reload();
    const said = await browser.page.evaluate(async () => {
      const body = JSON.stringify({ body: 'Hello' });
      const sent = await fetch('/_matrix/client/v3/send', { method: 'PUT', body });
      const got = await fetch('/_matrix/client/v3/sync');
      return [sent.status, sent.headers.get('content-type'), await sent.text(), await got.json()];
    });
    assert.deepEqual(said, [201, 'application/json', '{"event_id":"$1"}', { event_id: '$1' }]);
    assert.deepEqual(asked, [
      ['PUT', 'application/cbor', '{"body":"Hello"}'],
      ['GET', undefined, ''],
    ]);
  });

  await t.test('README: Vite builds a worker by its default settings, and a page that gives init an address', async (t) => {
    project.write('worker.js', example('worker.js'));
    project.write('page.js', `${makes(`new URL('./worker.js', import.meta.url)`)} ${ASKS}`);
    project.write('index.html', '<!doctype html><output></output><script type="module" src="/page.js"></script>');
    const shows = `(cbor) => (document.querySelector('output').textContent = cbor.join())`;
    project.write('address.js', `${example('address.js')} convert('[1]').then(${shows});`);
    project.write('address.html', '<!doctype html><output></output><script type="module" src="/address.js"></script>');
    const config = { build: { rolldownOptions: { input: ['index.html', 'address.html'] } } };
    project.write('vite.config.js', `export default ${JSON.stringify(config)};`);
    await project.run('node', VITE, 'build', '--logLevel', 'error');
    const browser = await Browser.open(t, project.path('dist'));
    assert.equal(await browser.output('index.html'), ANSWERED);
    assert.equal(await browser.output('address.html'), '129,1');
    assert.equal(browser.requests.filter((path) => path.endsWith('.wasm')).length, 1);
  });

  await t.test('a plain script works over HTTP and from disk, built by Vite and by esbuild', async (t) => {
    project.write('main.js', PAGE.replace("'lowband-codec'", "'lowband-codec/inline'"));
    const output = { format: 'iife', entryFileNames: 'vite.js' };
    const config = { build: { outDir: 'plain', rolldownOptions: { input: 'main.js', output } } };
    project.write('vite.plain.js', `export default ${JSON.stringify(config)};`);
    await project.run('node', VITE, 'build', '--logLevel', 'error', '--config', 'vite.plain.js');
    const plain = ['--bundle', '--format=iife', '--log-level=warning', '--outfile=plain/esbuild.js'];
    await project.run('node', ESBUILD, 'main.js', ...plain);
    for (const name of ['vite', 'esbuild']) {
      project.write(`plain/${name}.html`, `<!doctype html><meta charset="utf-8"><output></output><script src="./${name}.js"></script>`);
    }
    const browser = await Browser.open(t, project.path('plain'));
    for (const origin of [browser.origin, `file://${project.path('plain')}`]) {
      browser.origin = origin;
      for (const name of ['vite', 'esbuild']) {
        assert.deepEqual(JSON.parse(await browser.output(`${name}.html`)), SAID, `${name} from ${origin}`);
      }
    }
  });

  await t.test('a classic worker answers what came before it was read, built by esbuild', async (t) => {
    project.write('classic-source.js', example('worker.js'));
    const plain = ['--bundle', '--format=iife', '--log-level=warning', '--outfile=classic-worker.js'];
    await project.run('node', ESBUILD, 'classic-source.js', ...plain);
    project.write('classic.html', page(`const worker = new Worker('./classic-worker.js'); ${ASKS}`));
    const browser = await Browser.open(t, project.dir);
    assert.equal(await browser.output('classic.html'), ANSWERED);
  });

  await t.test('README: a Content-Security-Policy needs wasm-unsafe-eval and nothing else, with either entry', async (t) => {
    for (const [name, entry] of [['web', './node_modules/lowband-codec/js/web.js'], ['inline', INLINE]]) {
      project.write(`csp-${name}.js`, `import { encodeObject } from '${entry}';
        document.querySelector('output').textContent = [...encodeObject([1])].join();`);
      for (const [kind, script] of [['allowed', `'self' 'wasm-unsafe-eval'`], ['refused', `'self'`]]) {
        const policy = `<meta http-equiv="Content-Security-Policy" content="default-src 'self'; script-src ${script}">`;
        project.write(`csp-${name}-${kind}.html`, `<!doctype html>${policy}<output></output><script type="module" src="./csp-${name}.js"></script>`);
      }
    }
    for (const name of ['web', 'inline']) {
      const browser = await Browser.open(t, project.dir);
      assert.equal(await browser.output(`csp-${name}-allowed.html`), '129,1');
      await assert.rejects(browser.output(`csp-${name}-refused.html`), /Content Security Policy/);
    }
  });

  await t.test('README: require gives the same functions, also where Node cannot require ES modules', async () => {
    const [{ text, output }] = blocks('cjs');
    project.write('example.cjs', text);
    assert.equal(await project.run('node', '--no-experimental-require-module', 'example.cjs'), output);
    project.write('names.mjs', `
      import { createRequire } from 'node:module';
      import * as entry from 'lowband-codec';
      import * as inline from 'lowband-codec/inline';
      const require = createRequire(import.meta.url);
      const names = (found) => Object.keys(found).sort().join();
      const all = [entry, inline, require('lowband-codec'), require('lowband-codec/inline')].map(names);
      console.log(new Set(all).size, entry.encode === inline.encode);`);
    assert.equal(await project.run('node', 'names.mjs'), '1 true\n');
  });

  await t.test('before init every function says what to do, and init can be called again after it failed', async () => {
    project.write('init.mjs', `
      import { readFileSync } from 'node:fs';
      import * as codec from 'lowband-codec/init';
      const { DecodeStream, EncodeStream, KeyTable, decode, decodeObject, decodeToString, encode, encodeObject } = codec;
      const { init, keys, paths, usesIntegerKeys } = codec;
      const said = [];
      const calls = [
        () => encode('1'), () => encode('1', { limits: { maxDepth: 1 } }), () => decode(new Uint8Array(1)),
        () => decodeToString(new Uint8Array(1), { keys: 'none' }), () => usesIntegerKeys(new Uint8Array(1)),
        () => new KeyTable('t', {}), () => keys.size, () => keys.name(1), () => [...keys], () => [...paths],
        () => paths.size, () => paths.path('7'), () => paths.expand([]), () => paths.compress('/a'),
        () => new EncodeStream(), () => new DecodeStream(), () => encodeObject(1), () => decodeObject(new Uint8Array(1)),
      ];
      for (const call of calls) {
        try {
          call();
          said.push(String(call));
        } catch ({ name, message }) {
          said.push(name + ': ' + message);
        }
      }
      console.log([...new Set(said)].join());
      const bytes = readFileSync(new URL(import.meta.resolve('lowband-codec/lowband_codec.wasm')));
      for (const wrong of [undefined, 1, bytes.subarray(1)]) await init(wrong).catch(({ name }) => console.log(name));
      await Promise.all([init(bytes), init(WebAssembly.compile(bytes))]);
      await init(bytes);
      console.log(encode('[1]').join(), keys.size, [...paths].length);`);
    const said = 'Error: lowband-codec has not started: await init(...) first';
    assert.equal(await project.run('node', 'init.mjs'), `${said}\nTypeError\nTypeError\nCompileError\n129,1 104 57\n`);
  });
});
