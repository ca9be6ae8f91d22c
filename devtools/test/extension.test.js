// The extension in its real panel, on a page of this machine whose requests have CBOR bodies.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Browser } from './panel.js';

const EXTENSION = fileURLToPath(new URL('../extension', import.meta.url));

/** The page of the extension that adds the panel, whose view is named by the extension and the title. */
const ADDED = '/devtools.html';

/** The requests of the page: bodies in hexadecimal digits, as the page sends them and the server answers. */
const REQUESTS = [
  // {"type": "m.room", 300: 1.5} and a tag, which the codec refuses.
  { path: '/response', answer: 'a302666d2e726f6f6d19012cf93e0003c100' },
  // {"body": "é"}: not UTF-8, so a letter for each byte.
  { path: '/letters', body: 'a1181b62c3a9' },
  // "€": UTF-8, so a text.
  { path: '/text', body: '63e282ac' },
  // A sequence that two bodies look like: h'e941', 0 and h'c3a9', h'00'.
  { path: '/two', body: '42e94100', type: 'application/cbor-seq' },
  { path: '/json', body: '7b7d', type: 'application/json' },
];

const PAGE = `<!doctype html><title>working</title><script type="module">
for (const { path, body, type } of ${JSON.stringify(REQUESTS)}) {
  const bytes = body && Uint8Array.from(body.match(/../g), (digits) => Number.parseInt(digits, 16));
  const headers = body ? { 'content-type': type ?? 'application/cbor' } : {};
  await (await fetch(path, { method: body ? 'POST' : 'GET', headers, body: bytes })).arrayBuffer();
}
document.title = 'done';
</script>`;

async function serve(t) {
  const server = createServer((request, response) => {
    const known = REQUESTS.find(({ path }) => path === request.url);
    request.resume();
    if (request.url === '/') {
      response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
    } else if (known?.answer) {
      response.writeHead(200, { 'content-type': 'application/cbor' }).end(Buffer.from(known.answer, 'hex'));
    } else {
      response.writeHead(known ? 200 : 404, { 'content-type': 'application/json' }).end('{}');
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  t.after(() => server.closeAllConnections());
  return `http://127.0.0.1:${server.address().port}/`;
}

/** Chooses a request in the panel and returns what it shows of one of its bodies. */
async function body(panel, path, which) {
  await panel.run((path) => {
    document.getElementById('details').replaceChildren();
    [...document.querySelectorAll('#exchanges button')].find((button) => button.textContent.includes(path)).click();
  }, path);
  return panel.until((which) => {
    const shown = document.querySelector(`[data-body=${which}]`);
    return shown && {
      text: shown.textContent,
      json: [...shown.querySelectorAll('pre')].map((pre) => pre.textContent),
      rows: [...shown.querySelectorAll('.items button')].map((row) => row.textContent.trim().replace(/ +/g, ' ')),
    };
  }, which);
}

test('the panel shows CBOR from the network log', { timeout: 120_000 }, async (t) => {
  const origin = await serve(t);
  const browser = await Browser.start(t, EXTENSION);
  const tab = await browser.open('about:blank');
  const tools = await browser.openTools(tab);
  const adding = await browser.target(ADDED);
  const { url } = adding;
  // The tools answer it after all that was asked before: they have the panel then.
  await adding.run(async () => {
    if (document.readyState !== 'complete') await new Promise((resolve) => addEventListener('load', resolve));
    await new Promise((resolve) => chrome.devtools.network.getHAR(resolve));
  });
  await tab.send('Page.enable');
  await tab.send('Page.navigate', { url: origin });
  await tab.until(() => document.title === 'done');
  await tools.run(async (view) => {
    const { ViewManager } = await import('devtools://devtools/bundled/ui/legacy/legacy.js');
    await ViewManager.ViewManager.instance().showView(view);
  }, `${url.slice(0, -ADDED.length)}CBOR`);
  const panel = await browser.target('/panel.html');
  await panel.until(() => document.querySelectorAll('#exchanges li').length === 4);

  await t.test('a response, and what is wrong with it', async () => {
    const { json, rows, text } = await body(panel, '/response', 'response');
    assert.deepEqual(json, ['{\n  "type": "m.room",\n  "300": 1.5,\n  "content": 1(0)\n}']);
    assert.deepEqual(rows, [
      '0 a3 map of 3 pairs',
      '1 02 key 2: type',
      '2 66 text of 6 bytes "m.room"',
      '9 19012c key 300, not in table v1',
      '12 f93e00 float of 16 bits: 1.5',
      '15 03 key 3: content',
      '16 c1 tag 1: seconds since 1970 (a CBOR tag has no form in JSON)',
      '17 00 integer 0',
    ]);
    assert.match(text, /18 bytes of CBOR, 8 items/);
    assert.match(text, /The codec refuses this/);
  });

  await t.test('a request body that the log has as a letter for each byte', async () => {
    const { json, text } = await body(panel, '/letters', 'request');
    assert.deepEqual(json, ['{\n  "body": "é"\n}']);
    assert.match(text, /6 bytes of CBOR/);
    assert.match((await body(panel, '/letters', 'response')).text, /Not CBOR/);
  });

  await t.test('a request body that the log has as a text', async () => {
    const { json, text } = await body(panel, '/text', 'request');
    assert.deepEqual(json, ['"€"']);
    assert.match(text, /4 bytes of CBOR/);
  });

  await t.test('a request body that may be two things is shown as both', async () => {
    const { json, text } = await body(panel, '/two', 'request');
    assert.deepEqual(json, ["h'e941'\n0", "h'c3a9'\nh'00'"]);
    assert.match(text, /cannot be told/);
  });

  await t.test('an item that is chosen is marked in the text', async () => {
    await body(panel, '/letters', 'request');
    const marked = await panel.run(() => {
      const rows = document.querySelectorAll('[data-body=request] .items button');
      rows[2].click();
      return [document.querySelector('mark').textContent, rows[2].className, rows[1].className];
    });
    assert.deepEqual(marked, ['"é"', 'marked', '']);
  });

  await t.test('the list is emptied when the page changes, unless it is to be kept', async () => {
    await tab.send('Page.navigate', { url: 'about:blank' });
    await panel.until(() => document.querySelectorAll('#exchanges li').length === 0);
    await panel.run(() => document.getElementById('keep').click());
    await tab.send('Page.navigate', { url: origin });
    await panel.until(() => document.querySelectorAll('#exchanges li').length === 4);
    await tab.send('Page.navigate', { url: origin });
    await panel.until(() => document.querySelectorAll('#exchanges li').length === 8);
  });
});
