// The built page in a real Chromium, from disk or from a server. What the page must not do fails the test.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

export const FILE = process.env.LOWBAND_PAGE ?? fileURLToPath(new URL('../../target/page/index.html', import.meta.url));

// No sandbox, since the tests may run as root, and no requests of the browser's own.
export const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Starts the browser that all tests of a file share. */
export function browse() {
  const executablePath = process.env.LOWBAND_CHROMIUM ?? '/usr/bin/chromium';
  return chromium.launch({ executablePath, args: ARGUMENTS, timeout: 60_000 });
}

/** Serves the page as any static server would; `asked` lists the paths of all requests. */
export async function serve() {
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(request.url);
    if (request.url === '/') response.writeHead(200, { 'content-type': 'text/html' }).end(readFileSync(FILE));
    else response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { address: `http://127.0.0.1:${server.address().port}/`, asked, close: () => server.close() };
}

export class Page {
  /** What the page must not do, as it does it: errors, messages to the console, requests. */
  faults = [];

  /**
   * Opens the page and waits until it has started. The test `t` ends it, and fails if there were faults.
   *
   * @param {{ address?: string, fragment?: string, width?: number, theme?: 'light' | 'dark' }} [how]
   */
  static async open(t, browser, how = {}) {
    const { address = pathToFileURL(FILE).href, fragment = '', width = 1280, theme = 'light' } = how;
    const own = new Page();
    const context = await browser.newContext({ viewport: { width, height: 860 }, colorScheme: theme });
    t.after(async () => {
      await context.close();
      assert.deepEqual(own.faults, []);
    });
    context.setDefaultTimeout(60_000);
    own.tab = await context.newPage();
    own.tab.on('console', (message) => own.faults.push(`${message.type()}: ${message.text()}`));
    own.tab.on('pageerror', ({ message }) => own.faults.push(message));
    own.tab.on('request', (request) => {
      const url = request.url();
      if (url.split('#', 1)[0] !== address && !url.startsWith('data:') && !url.startsWith('blob:')) own.faults.push(url);
    });
    await own.tab.goto(address + fragment);
    await own.started();
    return own;
  }

  /** Waits until the page has started; before, it takes no files. */
  started() {
    return this.find('html[data-ready]').waitFor();
  }

  find(selector) {
    return this.tab.locator(selector);
  }

  /** Pastes a text in place of what is there. */
  paste(text) {
    return this.find('#source').fill(text);
  }

  example(name) {
    return this.find('#examples').getByRole('button', { name }).click();
  }

  /** The bytes that the page shows, in hex, from its view of them. */
  async cbor() {
    await this.find('#view-bytes').click();
    const rows = await this.find('#bytes .octets').allTextContents();
    await this.find('#view-items').click();
    return rows.map((row) => row.replaceAll(' ', '')).join('');
  }

  async json() {
    return (await this.find('#json .row').allTextContents()).join('\n');
  }

  /** The rows of items that are seen, each as `offset bytes meaning`. */
  async items() {
    const rows = await this.find('#items .row').allTextContents();
    return rows.map((row) => row.replace(/\s+/g, ' ').trim());
  }

  async problem() {
    const problem = this.find('#problem');
    return (await problem.isVisible()) ? problem.locator('p').textContent() : '';
  }
}
