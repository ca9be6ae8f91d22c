// The room for captures: real ones with their keys, filters, details, HAR files, and a hundred megabytes.

import assert from 'node:assert/strict';
import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { capture, har, packedPcap, smallPcap, writeLarge } from './captures.js';
import { Page, browse } from './page.js';

let browser;
before(async () => {
  browser = await browse();
});
after(() => browser.close());

/** Opens the room with these files. */
async function open(t, files, how = {}) {
  const page = await Page.open(t, browser, { fragment: '#capture', ...how });
  if (files.length > 0) await read(page, files);
  return page;
}

async function read(page, files) {
  await page.find('#said').evaluate((said) => said.replaceChildren());
  await page.find('#capture-file').setInputFiles(files);
  await page.find('#said').filter({ hasText: 'read' }).waitFor();
}

/**
 * Lets the worker read no further than to this piece of a file until the page tells it something, or until
 * the function that is returned is called.
 */
async function holdWorker(page, piece) {
  const worker = page.tab.workers()[0] ?? (await page.tab.waitForEvent('worker'));
  await worker.evaluate((piece) => {
    const { arrayBuffer } = Blob.prototype;
    let count = 0;
    Blob.prototype.arrayBuffer = async function () {
      count += 1;
      if (count === piece) {
        await new Promise((resolve) => ['message', 'go-on'].forEach((name) => addEventListener(name, resolve, { once: true })));
      }
      return arrayBuffer.call(this);
    };
    self.goOn = () => {
      Blob.prototype.arrayBuffer = arrayBuffer;
      dispatchEvent(new Event('go-on'));
    };
  }, piece);
  return () => worker.evaluate(() => self.goOn());
}

/** The rows that are seen: method, path, code. */
async function rows(page) {
  return page.find('#exchanges .exchange').evaluateAll((all) =>
    all.map((row) => ['method', 'path', 'code'].map((name) => row.querySelector(`.${name}`).textContent).join(' ')),
  );
}

test('a run of the chain is a list of exchanges, from pcap with a key log', async (t) => {
  const page = await open(t, [capture('chain.pcap'), capture('chain.keys')]);
  const list = await rows(page);
  assert.deepEqual(list.map((row) => row.replace(/![^/]+/, '!room')), [
    'POST /_matrix/client/r0/register 2.05',
    'POST /_matrix/client/r0/createRoom 2.05',
    'PUT /_matrix/client/r0/rooms/!room/send/m.room.message/1 2.05',
    'GET /_matrix/client/r0/sync 2.05',
    'GET /_matrix/client/versions 2.05',
    'GET /_matrix/client/versions 2.05',
  ]);
  assert.match(await page.find('#totals').textContent(), /^6 exchanges, 4 sessions, \d+ datagrams, 0 repeats, /);
  const [up, down, rest] = (await page.find('#totals').textContent()).match(/[\d,]+(?= (?:bytes up|down|for sessions))/g).map((text) => Number(text.replaceAll(',', '')));
  const costs = await page.find('#costs .number:not(.percent)').allTextContents();
  const [ours, https] = costs.map((text) => Number(text.replaceAll(',', '')));
  assert.ok(ours > 10_000 && https > ours, costs.join());
  assert.equal(up + down + rest, ours, 'the sum says what it is of');
});

test('secrets may come before, within or after the capture', async (t) => {
  const page = await open(t, [capture('secrets.pcapng')]);
  assert.match((await rows(page))[0], /^POST .*register 2\.05$/);

  await page.find('#capture-file').setInputFiles([capture('chain.pcap')]);
  await page.find('#capture-problem').filter({ hasText: 'Drop the key log of these sessions on this page as well' }).waitFor();
  assert.deepEqual(await rows(page), []);
  await page.find('#unread-title').click();
  assert.match(await page.find('#unread-list').textContent(), /the key log has no line for the session: frame \d/);
  await read(page, [capture('chain.keys')]);
  assert.equal((await rows(page)).length, 6);
  assert.equal(await page.find('#capture-problem').isVisible(), false);
});

test('an exchange opens into its messages, options and annotated body', async (t) => {
  const page = await open(t, [capture('chain.pcap'), capture('chain.keys')]);
  await page.find('#exchanges .exchange').nth(3).click();
  await page.find('#messages .message').first().waitFor();
  assert.match(await page.find('#detail-title').textContent(), /^GET \/_matrix\/client\/r0\/sync 2\.05$/);
  assert.match(await page.find('#detail-facts').textContent(), /^Bytes[\d,]+ up, [\d,]+ downHTTPS with JSON, estimated[\d,]+ bytes.*SuiteTLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256.*Handshakefull/);
  const [handshake, ...messages] = await page.find('#messages .what').allTextContents();
  assert.match(handshake, /^handshake {2}[\d,]+ bytes$/);
  assert.match(await page.find('#messages .at').first().textContent(), /^−\d+\.\d$/);
  assert.equal(messages[0], 'CON GET');
  assert.match(messages[1], /^ACK 2\.05 {2}Block2 0\/1\/1024 {2}1,024 bytes$/);
  assert.match(messages[2], /^CON GET {2}Block2 1\/\d\/1024$/);
  const options = await page.find('#message-options').textContent();
  assert.match(options, /Uri-Path117.*256\(hidden\), \d+ bytes/s);

  assert.match((await page.find('#capture-items .row').first().textContent()), /map of \d pairs/);
  await page.find('#body-json').click();
  assert.match(await page.find('#capture-json').textContent(), /"next_batch": "s/);
  await page.find('#open-payload').click();
  await page.find('#payload #items .row').first().waitFor();
  assert.match(await page.json(), /"next_batch": "s/);
  assert.ok(page.tab.url().endsWith('#payload'));
});

test('what may hold secrets is hidden until it is asked for', async (t) => {
  const page = await open(t, [capture('chain.pcap'), capture('chain.keys')]);
  const register = async () => {
    await page.find('#exchanges .exchange').first().click();
    await page.find('#detail').waitFor();
    await page.find('#body-request').click();
  };
  await register();
  assert.equal(await page.find('#body-note').textContent(), 'Hidden: it may hold secrets. “Show secrets” above shows it.');
  assert.doesNotMatch(await page.find('body').evaluate((body) => body.innerText), /"password"/);
  await page.find('#said').evaluate((said) => said.replaceChildren());
  await page.find('#secrets').check();
  await page.find('#said').filter({ hasText: 'read' }).waitFor();
  await register();
  await page.find('#body-json').click();
  assert.match(await page.find('#capture-json').textContent(), /"password"/);
});

test('files that come one right after the other are read together', async (t) => {
  const page = await open(t, []);
  const files = ['chain.pcap', 'chain.keys'].map((name) => [name, [...readFileSync(capture(name))]]);
  await page.tab.evaluate((files) => {
    for (const [name, bytes] of files) {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([Uint8Array.from(bytes)], name));
      document.querySelector('#capture').dispatchEvent(new DragEvent('drop', { dataTransfer, cancelable: true }));
    }
  }, files);
  await page.find('#totals').filter({ hasText: '6 exchanges, 4 sessions' }).waitFor();
  assert.equal(await page.find('#capture-files').textContent(), 'chain.pcap, chain.keys');
  await page.find('#filter-path').fill('versions');
  assert.equal(await page.find('#said').textContent(), '2 of 6 exchanges shown');
});

test('the chosen exchange stays chosen while others come and go', async (t) => {
  const page = await open(t, [capture('chain.pcap'), capture('chain.keys')]);
  const chosen = () => page.find('#exchanges .chosen .path').allTextContents();
  await page.find('#exchanges .exchange').nth(3).click();
  await page.find('#detail').waitFor();
  await page.find('#filter-path').fill('sync');
  assert.deepEqual(await chosen(), ['/_matrix/client/r0/sync']);
  await page.find('#filter-path').fill('versions');
  assert.deepEqual(await chosen(), []);
  assert.equal(await page.find('#exchanges').getAttribute('aria-activedescendant'), null);
  await page.find('#filter-path').fill('');
  assert.deepEqual(await chosen(), ['/_matrix/client/r0/sync']);
  // It is read anew for that.
  await page.find('#secrets').check();
  await page.find('#message-options').filter({ hasText: /256(?!\(hidden\))/ }).waitFor();
  assert.deepEqual(await chosen(), ['/_matrix/client/r0/sync']);
  assert.equal(await page.find('#exchanges').getAttribute('aria-activedescendant'), 'exchange-3');
});

test('a file that changes after it was read is told, not kept silent', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lowband-page-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'growing.pcap');
  copyFileSync(capture('chain.pcap'), path);
  const page = await open(t, [path, capture('chain.keys')]);
  appendFileSync(path, Buffer.alloc(16));
  await page.find('#exchanges .exchange').first().click();
  await page.find('#capture-problem').filter({ hasText: 'The file has changed since it was opened' }).waitFor();
  assert.equal(await page.find('#detail').isVisible(), false);
});

test('an export is not lost when an exchange is chosen meanwhile', async (t) => {
  const page = await open(t, [capture('chain.pcap'), capture('chain.keys')]);
  const downloading = page.tab.waitForEvent('download');
  await page.tab.evaluate(() => {
    document.querySelector('#export').click();
    document.querySelector('#exchanges .exchange').click();
  });
  assert.equal((await downloading).suggestedFilename(), 'exchanges.jsonl');
  await page.find('#detail').waitFor();
});

test('filters choose by client, path, code and state; sums and export follow', async (t) => {
  const page = await open(t, [capture('chain.pcap'), capture('chain.keys')]);
  await page.find('#filter-path').fill('versions');
  assert.equal((await rows(page)).length, 2);
  assert.match(await page.find('#totals').textContent(), /^2 of 6 exchanges, 8 datagrams, /);
  const exported = async () => {
    const downloading = page.tab.waitForEvent('download');
    await page.find('#export').click();
    const chunks = [];
    for await (const chunk of await (await downloading).createReadStream()) chunks.push(chunk);
    return Buffer.concat(chunks).toString().trim().split('\n').map((line) => JSON.parse(line));
  };
  assert.deepEqual((await exported()).map(({ path }) => path), ['/_matrix/client/versions', '/_matrix/client/versions']);
  await page.find('#filter-path').fill('POST');
  assert.equal((await rows(page)).length, 2);
  await page.find('#filter-path').fill('');
  await page.find('#filter-client').fill('10.0.0.3');
  assert.equal((await rows(page)).length, 1);
  await page.find('#filter-client').fill('');
  await page.find('#filter-code').fill('4.');
  assert.equal((await rows(page)).length, 0);
  await page.find('#filter-code').fill('');
  await page.find('#filter-state').selectOption('errors');
  assert.equal((await rows(page)).length, 0);
  await page.find('#filter-state').selectOption('');
  const all = await exported();
  assert.equal(all.length, 6);
  assert.ok(all.every(({ exchange, frames, https_bytes }) => exchange > 0 && frames.length > 0 && https_bytes > 0));
});

test('repeats and missing answers are seen at once', async (t) => {
  const page = await open(t, []);
  await read(page, [{ name: 'small.pcap', mimeType: '', buffer: smallPcap() }]);
  assert.deepEqual(await rows(page), [
    'PUT /_matrix/client/r0/sync 2.05',
    'PUT /_matrix/client/r0/sync 2.05',
    'PUT /_matrix/client/r0/sync unanswered',
    'PUT /_matrix/client/r0/sync 2.05',
  ]);
  assert.deepEqual(await page.find('#exchanges .repeats').allTextContents(), ['', '1', '', '']);
  // Who hears a row hears what its numbers are.
  const heard = await page.find('#exchanges').ariaSnapshot();
  assert.match(heard, /10\.0\.0\.1:40002 PUT \/_matrix\/client\/r0\/sync 2\.05 28 bytes up, 12 down, 3 datagrams, 1 repeat, 2,010 milliseconds,/);
  assert.match(heard, /sync unanswered 14 bytes up, 0 down, 1 datagram,/);
  await page.find('#filter-state').selectOption('unanswered');
  assert.deepEqual(await rows(page), ['PUT /_matrix/client/r0/sync unanswered']);
  await page.find('#filter-state').selectOption('repeats');
  await page.find('#exchanges .exchange').click();
  await page.find('#messages .message').nth(2).waitFor();
  assert.deepEqual(await page.find('#messages .what').allTextContents(), [
    'CON PUT  1 byte',
    'CON PUT  1 byte repeat',
    'ACK 2.05  1 byte',
  ]);
  assert.deepEqual(await page.find('#messages .at').allTextContents(), ['+0.0', '+2,000', '+2,010']);
});

test('a packed body is shown unpacked, and why another one cannot be', async (t) => {
  // {"type": "m.room.message", "ciphertext": "AQIDBAUG"} with both values packed, and a tag that no packer
  // writes.
  const bodies = ['a202e01857d646010203040506', 'a202c1'].map((hex) => Buffer.from(hex, 'hex'));
  const file = { name: 'packed.pcap', mimeType: '', buffer: packedPcap(bodies) };
  const page = await open(t, [file]);
  await page.find('#exchanges .exchange').first().click();
  await page.find('#body-request').click();
  assert.equal(await page.find('#body-note').textContent(), 'Sent as packed CBOR, 13 bytes. Shown unpacked, 28 bytes.');
  assert.match(await page.find('#message-options').textContent(), /Content-Format1265060/);
  await page.find('#body-json').click();
  const json = (await page.find('#capture-json').textContent()).replaceAll(/\s/g, '');
  assert.match(json, /"type":"m\.room\.message","ciphertext":"AQIDBAUG"/);

  await page.find('#exchanges .exchange').nth(1).click();
  await page.find('#body-note').filter({ hasText: 'Hidden' }).waitFor();
  await page.find('#said').evaluate((said) => said.replaceChildren());
  await page.find('#secrets').check();
  await page.find('#said').filter({ hasText: 'read' }).waitFor();
  await page.find('#exchanges .exchange').nth(1).click();
  await page.find('#body-note').filter({ hasText: 'byte 2 of the packed body stands for nothing' }).waitFor();
});

test('a HAR file shows its bodies of CBOR, and says where it is not sure of them', async (t) => {
  const page = await open(t, []);
  const latin1 = (hex) => Buffer.from(hex, 'hex').toString('latin1');
  const entries = [
    // A body that is UTF-8 comes as its text, any other as a letter a byte; the answer is base64.
    ['PUT', '/a', 200, latin1('a2181c666d2e74657874181b6548656c6c6f'), 'oA=='],
    ['PUT', '/b', 200, Buffer.from('a1181b62c3bc', 'hex').toString('latin1').replace('\u00c3\u00bc', '\u00fc'), undefined],
    ['GET', '/page', 200, undefined, undefined],
    ['GET', '/c', 0, undefined, 'oQIB'],
  ];
  await read(page, [{ name: 'network.har', mimeType: 'application/json', buffer: Buffer.from(har(entries)) }]);
  assert.deepEqual(await rows(page), ['PUT /a 200', 'PUT /b 200', 'GET /c unanswered']);
  await page.find('#exchanges .exchange').first().click();
  await page.find('#body-request').click();
  await page.find('#body-json').click();
  assert.match(await page.find('#capture-json').textContent(), /"body": "Hello"/);
  assert.equal(await page.find('#body-note').isVisible(), false);
  await page.find('#exchanges .exchange').nth(1).click();
  await page.find('#body-note').filter({ hasText: 'does not say whether its letters are bytes or UTF-8' }).waitFor();

  await page.find('#capture-file').setInputFiles([{ name: 'broken.har', mimeType: '', buffer: Buffer.from('{"log": {') }]);
  await page.find('#capture-problem').filter({ hasText: 'the HAR file is not whole: ' }).waitFor();
  assert.deepEqual(await rows(page), []);
  await page.tab.reload();
  await page.started();
  await page.find('#capture-file').setInputFiles([{ name: 'cat.jpg', mimeType: '', buffer: Buffer.from([0xff, 0xd8, 0xff]) }]);
  await page.find('#capture-problem').filter({ hasText: 'cat.jpg is neither a capture nor a key log nor a HAR file.' }).waitFor();
});

test('a HAR file hides what may hold secrets as a capture does', async (t) => {
  const page = await open(t, []);
  const password = Buffer.from('a1187268706173732d313233', 'hex').toString('base64');
  // {"auth": {"password": "pass-123"}}
  const withAuth = Buffer.from('a16461757468a16870617373776f726468706173732d313233', 'hex').toString('base64');
  const entries = [
    ['POST', '/_matrix/client/v3/login?access_token=tok-456', 200, undefined, password],
    ['GET', '/_matrix/client/v3/sync', 200, undefined, password],
    ['POST', '/_matrix/client/v3/keys', 200, undefined, withAuth],
  ];
  const file = { name: 'network.har', mimeType: 'application/json', buffer: Buffer.from(har(entries)) };
  await read(page, [file]);
  await page.find('#exchanges .exchange').first().click();
  await page.find('#body-note').filter({ hasText: 'Hidden: it may hold secrets.' }).waitFor();
  assert.doesNotMatch(await page.find('body').evaluate((body) => body.innerText), /pass-123|tok-456/);
  await page.find('#exchanges .exchange').nth(1).click();
  await page.find('#capture-items').filter({ hasText: 'pass-123' }).waitFor();
  await page.find('#exchanges .exchange').nth(2).click();
  await page.find('#body-note').filter({ hasText: 'Hidden: it may hold secrets.' }).waitFor();
  await page.find('#secrets').check();
  await page.find('#exchanges .exchange').first().click();
  await page.find('#capture-items').filter({ hasText: 'pass-123' }).waitFor();
});

test('a HAR file may hold anything', async (t) => {
  const page = await open(t, []);
  const content = { mimeType: 'application/cbor', encoding: 'base64' };
  const entries = [
    null,
    5,
    { request: { url: 5, method: {}, postData: { mimeType: 7 } }, response: { status: '200', content: { ...content, text: 'oA==' } } },
    { request: { url: '/a', method: 'GET' }, startedDateTime: 'soon', time: -1, response: { status: 200, content: { ...content, text: 'o*A==' } } },
  ];
  const buffer = Buffer.from(JSON.stringify({ log: { entries } }));
  await read(page, [{ name: 'strange.har', mimeType: '', buffer }]);
  assert.deepEqual(await rows(page), ['  unanswered', 'GET /a 200']);
  await page.find('#exchanges .exchange').nth(1).click();
  await page.find('#body-note').filter({ hasText: 'should be base64, and is not: character 2' }).waitFor();
  assert.equal(await page.find('#capture-plain').textContent(), 'o*A==');
  await read(page, [{ name: 'empty.har', mimeType: '', buffer: Buffer.from('{"log":{"entries":[]}}') }]);
  assert.equal(await page.find('#capture-problem').textContent(), 'No body in this HAR file is application/cbor.');
});

test('what is not yet read can be cancelled', async (t) => {
  const page = await open(t, []);
  // The worker has the first bytes of the file only once it has heard of the cancelling.
  await holdWorker(page, 1);
  const file = { name: 'network.har', mimeType: '', buffer: Buffer.from(har([['GET', '/a', 200, undefined, 'oA==']])) };
  await page.find('#capture-file').setInputFiles([file]);
  await page.find('#cancel').click();
  await page.find('#progress-text').filter({ hasText: 'cancelled' }).waitFor();
  assert.equal(await page.find('#progress').isVisible(), false);
  assert.equal(await page.find('#capture-problem').isVisible(), false);
});

test('the keyboard alone goes from the list to the body', async (t) => {
  const page = await open(t, [capture('chain.pcap'), capture('chain.keys')]);
  const { keyboard } = page.tab;
  const go = async (id) => {
    const focused = () => page.tab.evaluate(() => document.activeElement.id);
    for (let count = 0; count < 40 && (await focused()) !== id; count += 1) await keyboard.press('Tab');
    assert.equal(await focused(), id);
  };
  await go('exchanges');
  for (let count = 0; count < 4; count += 1) await keyboard.press('ArrowDown');
  await page.find('#detail-title').filter({ hasText: 'sync' }).waitFor();
  await go('messages');
  await keyboard.press('ArrowDown');
  assert.match(await page.find('#message-options').textContent(), /Block2/);
  await go('capture-items');
  await keyboard.press('ArrowDown');
  await keyboard.press('ArrowDown');
  assert.match(await page.find('#capture-inspector').textContent(), /Matrix keynext_batch/);
});

test('a hundred megabytes leave the page quick and small, and can be given up', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lowband-page-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'large.pcap');
  const exchanges = writeLarge(path, 100_000_000);
  const page = await open(t, []);
  const memory = await memoryOf(browser, page);
  const goOn = await holdWorker(page, 20);
  await browser.startTracing(page.tab, { categories: ['-*', 'toplevel'] });
  const begin = performance.now();
  await page.find('#capture-file').setInputFiles(path);
  // While it is read, rows are there to be looked at, and the list scrolls.
  await page.find('#progress').waitFor();
  await page.find('#exchanges .exchange').first().waitFor();
  await goOn();
  await page.find('#exchanges').evaluate(async (list) => {
    for (let step = 0; step < 60; step += 1) {
      list.scrollTop += 200;
      await new Promise(requestAnimationFrame);
    }
  });
  await page.find('#said').filter({ hasText: 'exchanges read' }).waitFor({ timeout: 300_000 });
  const seconds = (performance.now() - begin) / 1000;
  const [longest, , third] = longestTasks(await browser.stopTracing());
  const used = (await memoryOf(browser, page)) - memory;
  t.diagnostic(
    `${exchanges} exchanges, ${(100 / seconds).toFixed(1)} MB/s, ${(used / 1e6).toFixed(0)} MB at the most, ` +
      `longest task ${longest.toFixed(0)} ms of the processor, third ${third.toFixed(0)}`,
  );
  assert.match(await page.find('#totals').textContent(), new RegExp(`^${exchanges.toLocaleString('en')} exchanges, `));
  assert.ok(used < 300e6, `${used} bytes`);
  // One may be stretched by what else uses the memory and the caches.
  assert.ok(third > 0 && third < 200, `three tasks of ${third} ms`);
  assert.ok(longest < 1000, `a task of ${longest} ms`);
  await page.find('#exchanges').focus();
  await page.tab.keyboard.press('End');
  await page.find('#detail-title').filter({ hasText: 'sync' }).waitFor();
  assert.ok((await page.tab.evaluate(() => document.querySelectorAll('*').length)) < 1500);

  await holdWorker(page, 20);
  await page.find('#capture-file').setInputFiles(path);
  await page.find('#progress-text').filter({ hasText: '%' }).waitFor();
  await page.find('#exchanges .exchange').first().waitFor();
  await page.find('#cancel').click();
  await page.find('#progress-text').filter({ hasText: 'cancelled at' }).waitFor();
  assert.equal(await page.find('#unread').isVisible(), false, 'the packet that was cut by that is no fault');
  const [some] = /^[\d,]+/.exec(await page.find('#totals').textContent());
  assert.ok(Number(some.replaceAll(',', '')) < exchanges, some);
});

/** Returns the tasks of a page in milliseconds of the processor, which load stretches less; longest first. */
function longestTasks(trace) {
  const { traceEvents } = JSON.parse(trace);
  const isMain = ({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain';
  const main = new Set(traceEvents.filter(isMain).map(({ pid, tid }) => `${pid} ${tid}`));
  const tasks = traceEvents.filter(({ ph, pid, tid }) => ph === 'X' && main.has(`${pid} ${tid}`));
  return tasks.map(({ tdur = 0 }) => tdur / 1000).sort((one, other) => other - one);
}

/** Bytes that the largest process of a page uses, worker and module included, but not what it shares. */
async function memoryOf(browser, page) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  await page.tab.evaluate(() => 0);
  const anonymous = processInfo
    .filter(({ type }) => type === 'renderer')
    .map(({ id }) => /^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${id}/status`, 'utf8')));
  return Math.max(...anonymous.map((found) => Number(found?.[1] ?? 0) * 1024));
}
