// Debian's Chromium with one folder served to it from this machine.

import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { chromium } from 'playwright-core';

const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
};

// No sandbox, since the tests may run as root, and no requests to outside servers.
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export class Browser {
  /** The paths that were requested. */
  requests = [];

  /**
   * Opens a browser on the folder; both it and the server end with the test `t`. `answer` may answer a
   * request instead of the folder, by returning true.
   */
  static async open(t, folder, answer = () => false) {
    const own = new Browser();
    const server = createServer((request, response) => {
      if (!answer(request, response)) own.#serve(folder, request, response);
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    own.origin = `http://127.0.0.1:${server.address().port}`;
    const executablePath = process.env.LOWBAND_CHROMIUM ?? '/usr/bin/chromium';
    const browser = await chromium.launch({ executablePath, args: ARGUMENTS, timeout: 60_000 });
    t.after(() => browser.close());
    own.page = await browser.newPage();
    own.page.setDefaultTimeout(60_000);
    return own;
  }

  /** Returns the text of the page's `<output>`. An error in the page, or in its console, fails the test. */
  async output(path) {
    const failed = new Promise((_, reject) => {
      this.page.on('pageerror', reject);
      this.page.on('console', (message) => {
        if (message.type() === 'error' && !message.location().url.endsWith('favicon.ico')) {
          reject(new Error(message.text()));
        }
      });
    });
    const said = (async () => {
      await this.page.goto(`${this.origin}/${path}`);
      const output = this.page.locator('output:not(:empty)');
      await output.waitFor();
      return output.textContent();
    })();
    return Promise.race([said, failed]);
  }

  #serve(folder, request, response) {
    const { pathname } = new URL(request.url, 'http://localhost');
    this.requests.push(pathname);
    const path = join(folder, normalize(pathname));
    const type = TYPES[extname(path)];
    if (type === undefined || statSync(path, { throwIfNoEntry: false }) === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': type });
    createReadStream(path).pipe(response);
  }
}
