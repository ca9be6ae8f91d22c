// What holds for the page as a whole: size, accessibility, themes, narrow screens, large payloads.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { capture } from './captures.js';
import { FILE, Page, browse } from './page.js';

const MAX_GZIPPED = 400_000;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let browser;
before(async () => {
  browser = await browse();
});
after(() => browser.close());

/** Goes to the room for captures and reads files there. */
async function read(page, files) {
  await page.tab.evaluate(() => (location.hash = '#capture'));
  await page.find('#capture').waitFor();
  await page.find('#said').evaluate((said) => said.replaceChildren());
  await page.find('#capture-file').setInputFiles(files.map(capture));
  await page.find('#said').filter({ hasText: 'read' }).waitFor();
}

/** The states of the page that a visitor meets. */
const STATES = {
  'the empty room': async () => {},
  'an event': async (page) => {
    await page.example('An event');
    await page.find('#items').focus();
    for (let count = 0; count < 4; count += 1) await page.tab.keyboard.press('ArrowDown');
  },
  bytes: async (page) => {
    await page.example('An event');
    await page.find('#view-bytes').click();
    await page.find('#bytes .byte').nth(5).hover();
  },
  'CBOR with a mistake': (page) => page.example('One that was cut short'),
  'JSON with a mistake': (page) => page.example('JSON that is not clean'),
  'every kind of item': (page) => page.paste('8f 00 20 41ff 61 61 80 a1 02 01 c1 00 f4 f6 f9 3e00 fa 3f800000 fb 3ff0000000000000 9fff f7 19 03e8'),
  'an edit': async (page) => {
    await page.example('A login');
    await page.find('#edit').click();
  },
  'a link': async (page) => {
    await page.example('A login');
    await page.find('#share').click();
    await page.find('#link').waitFor();
  },
  'the empty room for captures': async (page) => {
    await page.tab.evaluate(() => (location.hash = '#capture'));
    await page.find('#capture-empty').waitFor();
  },
  'a capture without keys': async (page) => {
    await read(page, ['chain.pcap']);
    await page.find('#unread-title').click();
  },
  exchanges: (page) => read(page, ['chain.pcap', 'chain.keys']),
  'an exchange': async (page) => {
    await read(page, ['chain.pcap', 'chain.keys']);
    await page.find('#exchanges .exchange').nth(3).click();
    await page.find('#messages .message').nth(1).click();
    await page.find('#capture-items .row').nth(2).hover();
  },
  'an exchange whose bodies are hidden': async (page) => {
    await read(page, ['chain.pcap', 'chain.keys']);
    await page.find('#exchanges .exchange').first().click();
    await page.find('#body-note').waitFor();
  },
};

test(`the page has at most ${MAX_GZIPPED} bytes gzipped, with all its modules`, (t) => {
  const page = readFileSync(FILE);
  const gzipped = gzipSync(page, { level: 9 }).length;
  t.diagnostic(`${gzipped} bytes`);
  assert.ok(gzipped <= MAX_GZIPPED, `${gzipped} bytes`);
  const [, policy] = /<meta http-equiv="Content-Security-Policy" content="([^"]*)">/.exec(page.toString());
  for (const part of ["default-src 'none'", "connect-src 'none'", "base-uri 'none'", "form-action 'none'"]) {
    assert.ok(policy.split('; ').includes(part), part);
  }
  assert.doesNotMatch(policy, /unsafe-inline|'unsafe-eval'|https?:|\*/);
});

for (const [width, theme] of [[1280, 'light'], [1280, 'dark'], [360, 'light'], [360, 'dark']]) {
  test(`nothing is out of reach at ${width} pixels in the ${theme} theme`, async (t) => {
    const page = await Page.open(t, browser, { width, theme });
    // As text, by the debugger: the policy forbids the page to load a script.
    const session = await page.tab.context().newCDPSession(page.tab);
    const run = async (expression) => {
      const how = { expression, awaitPromise: true, returnByValue: true };
      const { result, exceptionDetails } = await session.send('Runtime.evaluate', how);
      assert.equal(exceptionDetails, undefined);
      return result.value;
    };
    await run(`${AXE}; undefined`);
    for (const [name, enter] of Object.entries(STATES)) {
      await page.tab.evaluate(() => (location.hash = '#payload'));
      await page.find('#clear').click();
      await page.find('#view-items').evaluate((button) => button.click());
      await enter(page);
      const beyond = await page.tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(beyond <= 0, `${name}: the page is ${beyond} pixels too wide`);
      const violations = await run(`axe.run().then(({ violations }) => violations.map(({ id, nodes }) =>
        [id, nodes.map(({ html, failureSummary }) => html.slice(0, 200) + failureSummary)]))`);
      assert.deepEqual(violations, [], name);
    }
  });
}

test('the theme follows the system, and the choice goes before it', async (t) => {
  const page = await Page.open(t, browser, { theme: 'dark' });
  const ground = () => page.tab.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await page.find('#theme').selectOption('light');
  const light = await ground();
  assert.notEqual(light, dark);
  await page.tab.emulateMedia({ colorScheme: 'light' });
  await page.find('#theme').selectOption('dark');
  assert.equal(await ground(), dark);
  await page.find('#theme').selectOption('light dark');
  assert.equal(await ground(), light);
});

test('forced colours keep what is marked, chosen and pressed apart, and draw the bars', async (t) => {
  const page = await Page.open(t, browser);
  await page.tab.emulateMedia({ forcedColors: 'active' });
  // At once: a row may be made anew between two steps.
  const look = (...of) => page.tab.evaluate(([selector, name]) => getComputedStyle(document.querySelector(selector))[name], of);
  const ground = (selector) => look(selector, 'backgroundColor');
  await page.example('An event');
  await page.find('#items').focus();
  for (let count = 0; count < 3; count += 1) await page.tab.keyboard.press('ArrowDown');
  const marked = await ground('#items .row.marked');
  assert.notEqual(marked, await ground('#items .row:not(.marked)'));
  assert.notEqual(marked, await look('#items .row.marked .name, #items .row.marked .value', 'color'));
  assert.equal(await ground('#json .word.marked'), marked);
  assert.equal(await ground('#view-items'), marked);
  assert.notEqual(await ground('#view-bytes'), marked);
  // What gzip makes of it comes later than the rest.
  await page.find('#sizes .size-bar').first().waitFor();
  assert.notEqual(await ground('#sizes .size-bar'), await ground('#sizes'));

  await read(page, ['chain.pcap', 'chain.keys']);
  await page.find('#exchanges .exchange').first().click();
  await page.find('#messages .marked').waitFor();
  for (const chosen of ['#exchanges .chosen', '#messages .marked']) {
    assert.equal(await ground(chosen), marked, chosen);
    assert.notEqual(await look(`${chosen} span`, 'color'), marked, chosen);
  }
  assert.notEqual(await ground('#exchanges .exchange:not(.chosen) .bar-of-time'), await ground('#exchanges'));
});

test('the rows of a list leave the line around it seen', async (t) => {
  const page = await Page.open(t, browser);
  await page.example('A sync');
  await page.tab.keyboard.press('Home');
  const box = await page.find('#items').boundingBox();
  const clip = { x: box.x + box.width - 1, y: box.y + 8, width: 1, height: 1 };
  const beside = { ...clip, y: box.y + 22 * 3 + 8 };
  const pixel = async (clip) => (await page.tab.screenshot({ clip })).toString('base64');
  // On the first row, which is marked, and below it.
  assert.equal(await pixel(clip), await pixel(beside));
  await page.find('#edit').focus();
  assert.notEqual(await pixel(clip), await pixel({ ...clip, x: box.x + box.width + 4 }));
});

test('the keyboard alone reaches all that can be used, and one sees where it is', async (t) => {
  const page = await Page.open(t, browser);
  const { keyboard } = page.tab;
  const expected = await page.tab.evaluate(() => {
    const used = [...document.querySelectorAll('a, button, select, textarea, input, [tabindex]')];
    return used.filter((element) => element.checkVisibility()).map(({ id, textContent }) => id || textContent.trim());
  });
  const seen = [];
  for (let count = 0; count < expected.length; count += 1) {
    await keyboard.press('Tab');
    const [name, outline] = await page.tab.evaluate(() => {
      const element = document.activeElement;
      // The field is part of a box, which shows its focus; so is the hidden field of a file.
      const shows = element.closest('.drop:focus-within textarea') ? element.closest('.drop') : element.closest('.button') ?? element;
      const { outlineStyle, boxShadow } = getComputedStyle(shows);
      return [element.id || element.textContent.trim(), outlineStyle !== 'none' || boxShadow !== 'none'];
    });
    seen.push(name);
    assert.ok(outline, `the focus of ${name} is seen`);
  }
  assert.deepEqual(seen, expected);

  // The whole job: an example, the third item of it, its bytes, an edit.
  const focused = () => page.tab.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim());
  const go = async (id) => {
    for (let count = 0; count < 60 && (await focused()) !== id; count += 1) await keyboard.press('Tab');
    assert.equal(await focused(), id);
  };
  await go('An event');
  await keyboard.press('Enter');
  assert.equal(await focused(), 'items');
  for (let count = 0; count < 3; count += 1) await keyboard.press('ArrowDown');
  assert.match(await page.find('#inspector').textContent(), /Path\$\.type/);
  await go('view-bytes');
  await keyboard.press('Enter');
  assert.ok((await page.find('#bytes .octets .marked').count()) > 0);
  await go('edit');
  await keyboard.press('Enter');
  await keyboard.press('Control+A');
  await keyboard.type('[1]');
  assert.equal(await page.find('#cbor-size').textContent(), '2 bytes, 2 items');
});

test('a large payload stays quick: what is not seen is not there', async (t) => {
  const page = await Page.open(t, browser);
  await page.tab.evaluate(() => {
    window.tasks = [];
    new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' });
  });
  const events = Array.from({ length: 6000 }, (_, n) => ({
    type: 'm.room.message',
    event_id: `$${n}`,
    content: { body: `number ${n}` },
    origin_server_ts: 1_764_482_400_000 + n,
  }));
  const json = JSON.stringify({ timeline: { events } });
  const buffer = Buffer.from(json);
  t.diagnostic(`${buffer.length} bytes of JSON`);
  await page.find('#file').setInputFiles({ name: 'sync.json', mimeType: 'application/json', buffer });
  await page.find('#items .row').first().waitFor();
  assert.ok(Number((await page.find('#cbor-size').textContent()).match(/, ([\d,]+) items/)[1].replaceAll(',', '')) > 60_000);
  await page.find('#items').focus();
  await page.tab.keyboard.press('End');
  assert.match((await page.items()).at(-1), /integer 1764482405999$/);
  await page.find('#items').evaluate(async (list) => {
    for (let step = 0; step < 30; step += 1) {
      list.scrollTop = (list.scrollHeight * step) / 30;
      await new Promise(requestAnimationFrame);
    }
  });
  const elements = await page.tab.evaluate(() => document.querySelectorAll('*').length);
  assert.ok(elements < 1500, `${elements} elements`);
  const tasks = await page.tab.evaluate(() => window.tasks);
  t.diagnostic(`tasks above 50 ms: ${tasks.join(', ')}`);
});
