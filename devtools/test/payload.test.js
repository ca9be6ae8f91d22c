// The room for one payload: forms, views, mistakes, options.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { capture, smallPcap } from './captures.js';
import { Page, browse, serve } from './page.js';

let browser;
let server;
before(async () => {
  browser = await browse();
  server = await serve();
});
after(async () => {
  await browser.close();
  server.close();
});

const HELLO = '{"msgtype":"m.text","body":"Hello"}';
const HELLO_CBOR = 'a2181c666d2e74657874181b6548656c6c6f';
const PRETTY = '{\n  "msgtype": "m.text",\n  "body": "Hello"\n}';

test('the page shows each byte of an event beside its JSON, from disk and from a server', async (t) => {
  for (const address of [undefined, server.address]) {
    const page = await Page.open(t, browser, { address });
    await page.paste(HELLO_CBOR);
    assert.deepEqual(await page.items(), [
      '0000 a2 map of 2 pairs',
      '0001 18 1c msgtype key 28',
      '0003 66 6d 2e 74 65 78 74 "m.text" text of 6 bytes',
      '000a 18 1b body key 27',
      '000c 65 48 65 6c 6c 6f "Hello" text of 5 bytes',
    ]);
    assert.equal(await page.json(), PRETTY);
    assert.equal(await page.find('#cbor-size').textContent(), '18 bytes, 5 items');
  }
  assert.deepEqual(server.asked, ['/'], 'the page asks for nothing but itself');
});

test('the page cannot reach the network, even if it wanted to', async (t) => {
  const page = await Page.open(t, browser, { address: server.address });
  const outcome = await page.tab.evaluate(async () => {
    const violated = new Promise((resolve) => addEventListener('securitypolicyviolation', resolve, { once: true }));
    const refused = await fetch('/beacon').catch(({ name }) => name);
    return [refused, (await violated).effectiveDirective, document.cookie, localStorage.length];
  });
  assert.deepEqual(outcome, ['TypeError', 'connect-src', '', 0]);
  assert.ok(!server.asked.includes('/beacon'));
  assert.ok(page.faults.length > 0, 'a violation is a fault, so that it fails the other tests');
  page.faults = [];
});

test('every usual form of bytes is recognised', async (t) => {
  const page = await Page.open(t, browser);
  const pairs = HELLO_CBOR.match(/../g);
  const array = pairs.map((pair) => `0x${pair}`);
  for (const [name, text] of [
    ['hex', HELLO_CBOR],
    ['hex', pairs.join(' ').toUpperCase()],
    ['hex', pairs.join(':')],
    ['hex', `h'${HELLO_CBOR}'`],
    ['hex', `0x${HELLO_CBOR}\n`],
    ['hex', '00000000: a218 1c66 6d2e 7465 7874 181b 6548 656c  ...fm.text..eHel\n00000010: 6c6f                                     lo\n'],
    [
      'hex',
      `00000000  ${pairs.slice(0, 8).join(' ')}  ${pairs.slice(8, 16).join(' ')}  |...fm.text..eHel|\n` +
        '00000010  6c 6f                                             |lo|\n00000012\n',
    ],
    ['hex', `0000   ${pairs.slice(0, 16).join(' ')}   ...fm.text..eHel\n0010   6c 6f   lo`],
    ['base64', Buffer.from(HELLO_CBOR, 'hex').toString('base64')],
    ['base64', Buffer.from(HELLO_CBOR, 'hex').toString('base64url')],
    ['C array', `static const uint8_t body[18] = { ${array.join(', ')} }; // a body`],
    ['C array', `[${array.join(', ')},]`],
    ['C array', array.join(',')],
    ['C array', `"${pairs.slice(0, 3).map((pair) => `\\x${pair}`).join('')}" "fm.text\\030\\x1b" "eHello"`],
    ['JSON', HELLO],
  ]) {
    await page.paste(text);
    assert.equal(await page.find('#source-note').textContent(), `read as ${name}`, text);
    assert.equal(await page.cbor(), HELLO_CBOR, text);
  }
  await page.paste('[1, 2]');
  assert.equal(await page.cbor(), '820102', 'an array of plain numbers is JSON');
  await page.find('#form').selectOption('c');
  assert.equal(await page.cbor(), '0102', 'unless the form is chosen');
});

test('a file is read by its content, dropped or opened', async (t) => {
  const page = await Page.open(t, browser);
  const open = (name, content) => page.find('#file').setInputFiles({ name, mimeType: '', buffer: Buffer.from(content) });
  await open('body.cbor', Buffer.from(HELLO_CBOR, 'hex'));
  await page.find('#source-note').filter({ hasText: 'body.cbor, 18 bytes' }).waitFor();
  assert.equal(await page.cbor(), HELLO_CBOR);
  await open('body.json', HELLO);
  await page.find('#source-note').filter({ hasText: 'read as JSON' }).waitFor();
  assert.equal(await page.cbor(), HELLO_CBOR);
  // All of these bytes are letters: it is CBOR all the same, as no other form.
  await open('letters.cbor', 'eHello');
  await page.find('#source-note').filter({ hasText: 'letters.cbor' }).waitFor();
  assert.equal(await page.json(), '"Hello"');
  await page.tab.evaluate((bytes) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([Uint8Array.from(bytes)], 'dropped.cbor'));
    document.querySelector('#drop').dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
  }, [...Buffer.from(HELLO_CBOR, 'hex')]);
  await page.find('#source-note').filter({ hasText: 'dropped.cbor, 18 bytes' }).waitFor();
  assert.equal(await page.json(), PRETTY);
});

test('no text keeps the page busy for long, whatever it was made for', async (t) => {
  const page = await Page.open(t, browser);
  const texts = {
    'empty lines': `${'\n'.repeat(400)}hello`,
    'a string of C and blanks': `"\\x41"${' '.repeat(1e6)}!`,
    'comments without an end': `0x1,${'/*x'.repeat(5e5)}`,
    'a dump with a strange end of line': `0000 ${'aa '.repeat(3e5)}\u2028`,
  };
  for (const [name, text] of Object.entries(texts)) {
    const begin = performance.now();
    await page.find('#file').setInputFiles({ name, mimeType: '', buffer: Buffer.from(text) });
    await page.find('#source-note').filter({ hasText: name }).waitFor();
    t.diagnostic(`${name}: ${Math.round(performance.now() - begin)} ms`);
  }
});

test('nothing in a text is unseen or turns what stands beside it', async (t) => {
  const page = await Page.open(t, browser);
  await page.paste('{"a":"x\\u202eabc\\u200b\\u007f","\\u2066b":"\u05d0\u05d1"}');
  assert.equal(await page.json(), '{\n  "a": "x\\u202eabc\\u200b\\u007f",\n  "\\u2066b": "\u05d0\u05d1"\n}');
  assert.match((await page.items())[2], /"x\\u202eabc\\u200b\\u007f" text of 11 bytes$/);
  // As JSON it says the same, and a copy of it as well.
  assert.deepEqual(JSON.parse(await page.json()), { a: 'x\u202eabc\u200b\u007f', '\u2066b': '\u05d0\u05d1' });
  await page.find('#items').focus();
  for (let count = 0; count < 3; count += 1) await page.tab.keyboard.press('ArrowDown');
  assert.match(await page.find('#inspector').textContent(), /Value"x\\u202eabc/);
  // A text from right to left stands where it is written, and what follows stands to the right of it.
  const [value, words] = await page.find('#items .row').nth(4).locator('.meaning span').evaluateAll((all) => all.map((one) => one.getBoundingClientRect().x));
  assert.ok(words > value, `${words} > ${value}`);

  await page.paste('{"\u202ea":}');
  assert.equal(await page.find('#problem pre').textContent(), `{"\\u202ea":}\n${' '.repeat(11)}^`);
});

test('a hex dump may come from Windows', async (t) => {
  const page = await Page.open(t, browser);
  // A byte string of 32,765 bytes: the field would make other ends of lines of a shorter dump.
  const bytes = Buffer.concat([Buffer.from([0x59, 0x7f, 0xfd]), Buffer.alloc(0x7ffd)]);
  const line = (at) => `${at.toString(16).padStart(8, '0')}: ${bytes.subarray(at, at + 16).toString('hex').replace(/.{4}/g, '$& ')} ................\r\n`;
  const dump = Array.from({ length: bytes.length / 16 }, (_, row) => line(row * 16)).join('');
  await page.find('#file').setInputFiles({ name: 'dump.txt', mimeType: '', buffer: Buffer.from(dump) });
  await page.find('#source-note').filter({ hasText: 'dump.txt' }).waitFor();
  assert.equal(await page.find('#cbor-size').textContent(), '32,768 bytes, 1 item');
});

test('a capture that is dropped into the room for payloads opens in its own', async (t) => {
  const page = await Page.open(t, browser);
  await page.find('#file').setInputFiles({ name: 'wire.pcap', mimeType: '', buffer: smallPcap() });
  await page.find('#exchanges .exchange').nth(3).waitFor();
  assert.ok(page.tab.url().endsWith('#capture'));
  assert.equal(await page.find('#source').inputValue(), '');
  assert.match(await page.tab.title(), /^Capture - lowband/);

  // So does a key log, beside its capture.
  const other = await Page.open(t, browser);
  await other.find('#file').setInputFiles(capture('chain.pcap'));
  await other.find('#capture-problem').filter({ hasText: 'Drop the key log' }).waitFor();
  await other.find('#to-payload').click();
  await other.find('#file').setInputFiles(capture('chain.keys'));
  await other.find('#exchanges .exchange').nth(3).waitFor();
});

test('what is pointed at is marked in all views', async (t) => {
  const page = await Page.open(t, browser);
  await page.paste(HELLO_CBOR);
  const marked = async () => [
    await page.find('#items .marked').allTextContents().then((rows) => rows.map((row) => row.slice(0, 4))),
    await page.find('#json .marked').allTextContents(),
  ];
  await page.find('#items .row').nth(2).hover();
  assert.deepEqual(await marked(), [['0003'], ['"m.text"']]);
  await page.find('#json .word').filter({ hasText: '"body"' }).hover();
  assert.deepEqual(await marked(), [['000a'], ['"body"']]);
  await page.find('#view-bytes').click();
  assert.deepEqual(await page.find('#bytes .octets .marked').allTextContents(), ['18', '1b']);
  await page.find('#bytes .octets .byte').nth(13).hover();
  await page.find('#view-items').click();
  assert.deepEqual(await marked(), [['000c'], ['"Hello"']]);
  assert.match(await page.find('#inspector').textContent(), /Bytes12 to 17, from 0xc: 6 bytesHead65.*Path\$\.bodyValue"Hello"/);
});

test('arrow keys move through the items, in each view', async (t) => {
  const page = await Page.open(t, browser);
  await page.example('A sync');
  const path = async () => /Path(\$[^\s]*?)(Value|$)/.exec(await page.find('#inspector').textContent())[1];
  for (const view of ['#items', '#json']) {
    await page.find(view).focus();
    await page.tab.keyboard.press('Home');
    assert.equal(await path(), '$');
    for (let count = 0; count < 4; count += 1) await page.tab.keyboard.press('ArrowDown');
    assert.equal(await path(), '$.rooms');
    await page.tab.keyboard.press('ArrowRight');
    assert.equal(await path(), '$.rooms.join');
    await page.tab.keyboard.press('ArrowLeft');
    await page.tab.keyboard.press('ArrowLeft');
    assert.equal(await path(), '$');
    await page.tab.keyboard.press('End');
    assert.equal(await path(), '$.presence.events');
    for (const list of ['#items', '#json']) {
      assert.ok(await page.find(`${list} .marked`).first().isVisible(), `${list} has scrolled there`);
    }
  }
  assert.equal(await page.find('#items').getAttribute('aria-activedescendant'), await page.find('#items [aria-selected="true"]').getAttribute('id'));
});

test('CBOR that is wrong is read up to its mistake', async (t) => {
  const page = await Page.open(t, browser);
  await page.example('One that was cut short');
  assert.match(await page.problem(), /^Reading ended at byte 24 \(0x18\): .*\. What stands before it is shown\.$/);
  const rows = await page.items();
  assert.equal(rows.length, 6);
  assert.match(rows[2], /"M_LIMIT_EXCEEDED"/);
  assert.match(rows[5], /^0018 end /);
  assert.match(await page.json(), /"errcode": "M_LIMIT_EXCEEDED"/);
  assert.equal(await page.find('#edit').isDisabled(), true);

  await page.paste(`${HELLO_CBOR}01`);
  assert.match(await page.problem(), /byte 18 \(0x12\)/);
  await page.find('#view-bytes').click();
  assert.deepEqual(await page.find('#bytes .octets .wrong').allTextContents(), ['01']);
  await page.find('#view-items').click();
  await page.find('#problem').getByRole('button', { name: 'Read all items' }).click();
  assert.equal(await page.problem(), '');
  assert.equal((await page.items()).at(-1), '0012 01 integer 1');

  await page.paste('a1 02 41 ff');
  await page.find('#next-note').click();
  assert.match(await page.find('#inspector').textContent(), /Refused by the codec: a CBOR byte string has no form in JSON/);

  await page.paste('a2 18 1c 66 6d 2g 74 65 78 74');
  assert.equal(await page.problem(), 'This is not hex: character 17, "g" is not a digit of hex.');
  await page.find('#problem').getByRole('button', { name: 'Show the character' }).click();
  assert.equal(await page.tab.evaluate(() => getSelection().toString()), 'g');
});

test('JSON that is not clean is refused at its byte, or repaired', async (t) => {
  const page = await Page.open(t, browser);
  await page.paste('{\n  "ä": 1,\n}');
  assert.match(await page.problem(), /^The JSON is refused at byte 13, line 3, column 1: no comma may stand before/);
  await page.find('#problem').getByRole('button', { name: 'Show the place' }).click();
  assert.equal(await page.tab.evaluate(() => getSelection().toString()), '}');
  assert.equal(await page.find('#problem').getByRole('button', { name: 'Repair it' }).count(), 0);

  await page.paste('{"a":1,"a":1e400}');
  assert.match(await page.problem(), /byte 7, line 1, column 8: /);
  await page.find('#problem').getByRole('button', { name: 'Repair it' }).click();
  assert.equal(await page.problem(), '');
  assert.equal(await page.cbor(), 'a16161f6');
  assert.equal(
    await page.find('#outcome').textContent(),
    'Repaired: 1 × number that no float holds, written as null; 1 × repeated key, of which the last one counts.',
  );
});

test('JSON can be edited, and its CBOR follows', async (t) => {
  const page = await Page.open(t, browser);
  await page.paste(HELLO_CBOR);
  await page.find('#edit').click();
  assert.equal(await page.find('#editor').inputValue(), PRETTY);
  await page.find('#editor').fill('{"body":"Bye"}');
  assert.equal(await page.cbor(), 'a1181b63427965');
  await page.find('#editor').fill('{"body":"Bye"');
  assert.match(await page.problem(), /^The edited JSON is refused at byte 13/);
  await page.find('#edit').click();
  assert.equal(await page.problem(), '');
  assert.equal(await page.cbor(), HELLO_CBOR);
});

test('order and key table are options, for JSON and for CBOR', async (t) => {
  const page = await Page.open(t, browser);
  for (const text of ['{"100":1,"":2,"type":3}', 'a3633130300160020203']) {
    await page.paste(text);
    assert.equal(await page.cbor(), 'a3633130300160020203');
    await page.find('#order').selectOption('1');
    assert.equal(await page.cbor(), 'a3020360026331303001');
    await page.find('#order').selectOption('2');
    assert.equal(await page.cbor(), 'a3020360026331303001');
    await page.find('#order').selectOption('0');
  }
  await page.find('#keys').selectOption('none');
  assert.match(await page.json(), /"2": 3/);
  await page.paste('{"type":3}');
  assert.equal(await page.cbor(), 'a1647479706503');
  await page.find('#keys').selectOption('v1');
  assert.equal(await page.cbor(), 'a10203');
});

test('the sizes of all forms stand beside each other', async (t) => {
  const page = await Page.open(t, browser);
  await page.example('An event');
  const rows = page.find('#sizes-rows tr');
  await rows.nth(3).waitFor();
  const shown = Object.fromEntries(
    await rows.evaluateAll((all) => all.map((row) => [row.querySelector('th').textContent, row.querySelector('.number').textContent])),
  );
  const json = JSON.stringify(JSON.parse(await page.json()));
  assert.equal(shown.JSON, String(json.length));
  assert.equal(shown.CBOR, '121');
  assert.equal(shown['CBOR, no key table'], '189');
  assert.ok(Math.abs(Number(shown['JSON, gzip']) - 192) < 8, shown['JSON, gzip']);
});

test('no input, however wrong, makes the page fail', async (t) => {
  const page = await Page.open(t, browser);
  const event = await page.tab.evaluate(() => {
    document.querySelector('#examples button').click();
    return document.querySelector('#source').value.replace(/\s/g, '');
  });
  await page.tab.evaluate((event) => {
    // Pseudo-random numbers, equal in each run.
    let state = 7;
    const draw = (below) => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) % below;
    const find = (id) => document.querySelector(id);
    const choose = (id, value) => {
      find(id).value = value;
      find(id).dispatchEvent(new Event('change'));
    };
    const changed = (parts, other) => {
      const copy = [...parts];
      for (let count = draw(4); count >= 0; count -= 1) copy[draw(copy.length)] = other();
      copy.splice(draw(copy.length), draw(3) * draw(9));
      return copy.join('');
    };
    const byte = () => draw(256).toString(16).padStart(2, '0');
    const json = '{"type":"m.room.message","content":{"body":"one \\ud83d\\ude00 \u00fc","n":[1,2.5,1e400,null,true]},"x":[[[]]]}';
    for (let round = 0; round < 150; round += 1) {
      const kinds = [
        () => changed(event.match(/../g), byte),
        () => changed(json, () => String.fromCharCode(draw(400))),
        () => changed('x'.repeat(draw(60) + 1), byte),
      ];
      find('#source').value = kinds[round % 3]();
      find('#source').dispatchEvent(new Event('input'));
      if (round % 5 === 0) choose('#order', String(draw(3)));
      if (round % 6 === 0) choose('#policy', ['strict', 'lenient'][draw(2)]);
      find(round % 7 < 4 ? '#view-items' : '#view-bytes').click();
      for (const key of ['End', 'ArrowUp', 'ArrowLeft', 'Home', 'ArrowDown', 'ArrowRight']) {
        for (const view of ['#items', '#bytes', '#json']) find(view).dispatchEvent(new KeyboardEvent('keydown', { key }));
      }
      document.querySelectorAll('#problem button').forEach((button) => button.click());
      if (!find('#next-note').hidden) find('#next-note').click();
      if (round % 11 === 0 && !find('#edit').disabled) find('#edit').click();
    }
  }, event);
  // What was put off until the next frame has been done then.
  await page.tab.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
});

test('a link holds the payload and its options', async (t) => {
  const page = await Page.open(t, browser, { address: server.address });
  await page.paste('{"a":1,"a":2}');
  await page.find('#policy').selectOption('lenient');
  await page.find('#share').click();
  await page.find('#link').waitFor();
  const link = await page.find('#link').inputValue();
  assert.ok(link.startsWith(`${server.address}#payload/t.`), link);
  assert.match(await page.find('#shared-note').textContent(), /^Whoever has this link has the payload/);

  const fragment = link.slice(link.indexOf('#'));
  const other = await Page.open(t, browser, { fragment });
  await other.find('#items .row').first().waitFor();
  assert.equal(await other.cbor(), 'a1616102');
  assert.equal(await other.find('#source').inputValue(), '{"a":1,"a":2}');

  // Another link, without options, takes those of the first one back.
  await other.find('#keys').selectOption('none');
  await page.find('#policy').selectOption('strict');
  await page.paste('{"a":2}');
  await page.find('#share').click();
  await page.find('#link').waitFor();
  const plain = await page.find('#link').inputValue();
  await other.tab.evaluate((hash) => (location.hash = hash), plain.slice(plain.indexOf('#')));
  await other.find('#cbor-size').filter({ hasText: '4 bytes' }).waitFor();
  assert.equal(await other.find('#policy').inputValue(), 'strict');
  assert.equal(await other.find('#keys').inputValue(), 'v1');

  const broken = await Page.open(t, browser, { fragment: `${fragment.slice(0, 20)}!` });
  await broken.find('#problem').waitFor();
  assert.equal(await broken.problem(), 'The link cannot be read: it was cut or changed on its way.');

  const long = Array.from({ length: 9000 }, (_, n) => Math.imul(n + 1, 2654435761) >>> 0);
  await page.paste(JSON.stringify(long));
  await page.find('#share').click();
  await page.find('#shared-note').filter({ hasText: 'too long for a link' }).waitFor();
  assert.equal(await page.find('#link').isVisible(), false);
  assert.ok(!server.asked.some((path) => path.includes('payload')), 'no server has seen the fragment');
});

test('the CBOR leaves as hex, base64, C array, diagnostic notation and file', async (t) => {
  const page = await Page.open(t, browser, { address: server.address });
  await page.tab.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.paste(HELLO_CBOR);
  for (const [form, text] of [
    ['hex', HELLO_CBOR],
    ['base64', Buffer.from(HELLO_CBOR, 'hex').toString('base64')],
    ['diagnostic', '{28: "m.text", 27: "Hello"}'],
  ]) {
    await page.find('#said').evaluate((said) => said.replaceChildren());
    await page.find('#copy-as').selectOption(form);
    assert.equal(await page.find('#said').textContent(), '', 'a choice alone does nothing');
    await page.find('#copy-cbor').click();
    await page.find('#said').filter({ hasText: 'copied' }).waitFor();
    assert.equal(await page.tab.evaluate(() => navigator.clipboard.readText()), text);
  }
  const downloading = page.tab.waitForEvent('download');
  await page.find('#copy-as').selectOption('save');
  assert.equal(await page.find('#copy-cbor').textContent(), 'Save');
  await page.find('#copy-cbor').click();
  const download = await downloading;
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString('hex'), HELLO_CBOR);
});
