// The package in the hands of other bundlers, test runners and runtimes, each in a project of its own and in
// the version that stands here. Needs the registry.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Browser } from '../test/browser.js';
import { Project } from '../test/project.js';
import { README } from '../test/readme.js';
import { PAGE, SAID } from '../test/said.js';

const INLINE_PAGE = PAGE.replace("'lowband-codec'", "'lowband-codec/inline'");
const WORKER = `
import { encodeObject } from 'lowband-codec/inline';
onmessage = ({ data }) => postMessage(encodeObject(data));`;
// The first message is sent before the worker has been read.
const asksWorker = (options) => `
const worker = new Worker(new URL('./worker.js', import.meta.url)${options});
worker.onmessage = ({ data }) => (document.querySelector('output').textContent = [...data].join());
worker.postMessage([1]);`;
const ANSWERED = '129,1';
const html = (script) => `<!doctype html><meta charset="utf-8"><output></output>${script}`;
const MODULE = (source) => `<script type="module" src="${source}"></script>`;

// What the README says of one version of Vite.
const LEFT_AS_IT_IS = { exclude: JSON.parse(/`optimizeDeps: \{ exclude: (\[.*?\]) \}`/.exec(README)[1].replaceAll("'", '"')) };

const ARM = process.arch === 'arm64';

/** What a test runner or a runtime does. */
const CALLS = `
const cbor = encodeObject({ type: 'm.text', body: 'ü' });
if (decodeToString(cbor) !== '{"type":"m.text","body":"ü"}') throw new Error('wrong text');
if (decodeObject(cbor).body !== 'ü') throw new Error('wrong value');`;
const NAMES = '{ decodeObject, decodeToString, encodeObject }';

/** Makes a project with this package and these. */
async function withPackages(t, ...packages) {
  const project = await Project.make(t);
  const quiet = ['--no-audit', '--no-fund', '--ignore-scripts', '--loglevel', 'error'];
  await project.run('npm', 'install', ...quiet, ...packages);
  return project;
}

async function assertPage(t, project, folder, page, expected) {
  const browser = await Browser.open(t, project.path(folder));
  const said = await browser.output(page);
  assert.deepEqual(typeof expected === 'string' ? said : JSON.parse(said), expected);
}

for (const [vite, ways] of [
  ['5.4.21', ['inline']],
  ['6.4.6', ['inline']],
  ['7.3.8', ['inline', 'main']],
  ['8.4.0', ['inline', 'main']],
]) {
  test(`Vite ${vite}`, async (t) => {
    const project = await withPackages(t, `vite@${vite}`);
    project.write('worker.js', WORKER);
    project.write('worker.html', html(MODULE('/asks.js')));
    const input = ['worker.html'];
    for (const way of ways) {
      project.write(`${way}.js`, way === 'main' ? PAGE : INLINE_PAGE);
      project.write(`${way}.html`, html(MODULE(`/${way}.js`)));
      input.push(`${way}.html`);
    }
    const config = { build: { rollupOptions: { input } } };
    project.write('vite.config.js', `export default ${JSON.stringify(config)};`);
    for (const kind of ['classic', 'module']) {
      project.write('asks.js', asksWorker(kind === 'module' ? `, { type: 'module' }` : ''));
      await project.run('npx', 'vite', 'build', '--logLevel', 'error');
      await t.test(`a ${kind} worker`, (t) => assertPage(t, project, 'dist', 'worker.html', ANSWERED));
    }
    for (const way of ways) {
      await t.test(`a page with the entry ${way}`, (t) => assertPage(t, project, 'dist', `${way}.html`, SAID));
      await t.test(`README: a page from the development server, with the entry ${way}`, async (t) => {
        const options = vite.startsWith('7.') && way === 'main' ? { optimizeDeps: LEFT_AS_IT_IS } : {};
        const { createServer } = await import(pathToFileURL(project.path('node_modules/vite/dist/node/index.js')));
        const server = await createServer({ ...options, root: project.dir, configFile: false, logLevel: 'error', server: { host: '127.0.0.1', port: 0 } });
        t.after(() => server.close());
        await server.listen();
        const browser = await Browser.open(t, project.dir);
        browser.origin = `http://127.0.0.1:${server.httpServer.address().port}`;
        assert.deepEqual(JSON.parse(await browser.output(`${way}.html`)), SAID);
      });
    }
  });
}

test('Rollup 4.68.8: a plain script and an ES module', async (t) => {
  const project = await withPackages(t, 'rollup@4.68.8', '@rollup/plugin-node-resolve@16.0.3');
  project.write('main.js', INLINE_PAGE);
  for (const [format, tag] of [['iife', '<script src="./iife.js"></script>'], ['es', MODULE('./es.js')]]) {
    await project.run('npx', 'rollup', '--silent', '-p', 'node-resolve', '-f', format, '-o', `out/${format}.js`, 'main.js');
    project.write(`out/${format}.html`, html(tag.replace('<script src', '<script defer src')));
    await assertPage(t, project, 'out', `${format}.html`, SAID);
  }
});

test('webpack 5.113.0: a page with either entry, and a worker', async (t) => {
  const project = await withPackages(t, 'webpack@5.113.0', 'webpack-cli@7.3.1');
  project.write('worker.js', WORKER);
  project.write('asks.js', asksWorker(''));
  project.write('main.js', PAGE);
  project.write('inline.js', INLINE_PAGE);
  const config = { mode: 'production', entry: { main: './main.js', inline: './inline.js', asks: './asks.js' }, performance: false };
  project.write('webpack.config.js', `export default ${JSON.stringify(config)};`);
  await project.run('npx', 'webpack', '--stats', 'errors-warnings');
  for (const [name, expected] of [['main', SAID], ['inline', SAID], ['asks', ANSWERED]]) {
    project.write(`dist/${name}.html`, html(`<script defer src="./${name}.js"></script>`));
    await assertPage(t, project, 'dist', `${name}.html`, expected);
  }
});

test('Parcel 2.16.4, which knows no exports by default: a page', async (t) => {
  const project = await withPackages(t, 'parcel@2.16.4');
  project.write('main.js', PAGE);
  project.write('index.html', html(MODULE('./main.js')));
  await project.run('npx', 'parcel', 'build', 'index.html', '--no-cache', '--log-level', 'error');
  await assertPage(t, project, 'dist', 'index.html', SAID);
});

for (const jest of ['29.7.0', '30.5.2']) {
  test(`Jest ${jest}: require, and import by way of Babel`, async (t) => {
    const project = await withPackages(t, `jest@${jest}`, `babel-jest@${jest}`, '@babel/core@7.29.13', '@babel/preset-env@7.29.14');
    project.write('package.json', JSON.stringify({ name: 'project', private: true }));
    project.write('babel.config.js', `module.exports = { presets: [['@babel/preset-env', { targets: { node: 'current' } }]] };`);
    const tests = (first) => `${first}\ntest('both ways', () => {${CALLS}});`;
    project.write('required.test.js', tests(`const ${NAMES} = require('lowband-codec');`));
    project.write('imported.test.js', tests(`import ${NAMES} from 'lowband-codec';`));
    project.write('inline.test.js', tests(`import ${NAMES} from 'lowband-codec/inline';`));
    await project.run('npx', 'jest', '--ci');
  });
}

for (const vitest of ['4.1.12', '5.1.2']) {
  test(`Vitest ${vitest}`, async (t) => {
    const project = await withPackages(t, `vitest@${vitest}`);
    for (const entry of ['lowband-codec', 'lowband-codec/inline']) {
      const imports = `import { test } from 'vitest';\nimport ${NAMES} from '${entry}';`;
      project.write(`${entry.replace('/', '-')}.test.js`, `${imports}\ntest('both ways', () => {${CALLS}});`);
    }
    await project.run('npx', 'vitest', 'run');
  });
}

test('Bun 1.4.5: run, and a program in one file', async (t) => {
  const name = `@oven/bun-linux-${ARM ? 'aarch64' : 'x64'}`;
  const project = await withPackages(t, `${name}@1.4.5`);
  const bun = project.path('node_modules', name, 'bin/bun');
  for (const [file, entry] of [['main.js', 'lowband-codec'], ['inline.js', 'lowband-codec/inline']]) {
    project.write(file, `import ${NAMES} from '${entry}';\n${CALLS}\nconsole.log('well');`);
    assert.equal(await project.run(bun, file), 'well\n');
  }
  await project.run(bun, 'build', '--compile', '--outfile', 'program', 'inline.js');
  await project.run('mv', 'node_modules', 'away');
  assert.equal(await project.run('./program'), 'well\n');
});

test('Deno 2.9.6: without a permission, and by either entry', async (t) => {
  const name = `@deno/linux-${ARM ? 'arm64' : 'x64'}-glibc`;
  const project = await withPackages(t, `${name}@2.9.6`);
  const deno = project.path('node_modules', name, 'deno');
  for (const [entry, ...permissions] of [['lowband-codec', '--allow-read'], ['lowband-codec/inline']]) {
    project.write('main.js', `import ${NAMES} from '${entry}';\n${CALLS}\nconsole.log('well');`);
    assert.equal(await project.run(deno, 'run', '--no-prompt', ...permissions, 'main.js'), 'well\n');
  }
});
