// The extension's panel in the developer tools of Chromium, through the browser's own CDP session: the window
// of the tools and the frame of the panel are no pages to playwright.

import { chromium } from 'playwright-core';
import { ARGUMENTS } from './page.js';

export class Browser {
  #cdp;
  #sessions = new Map();

  /** Starts a browser with the unpacked extension of a folder; it ends with the test `t`. */
  static async start(t, extension) {
    const browser = await chromium.launch({
      executablePath: process.env.LOWBAND_CHROMIUM ?? '/usr/bin/chromium',
      args: [...ARGUMENTS, `--load-extension=${extension}`, `--disable-extensions-except=${extension}`],
      ignoreDefaultArgs: ['--disable-extensions'],
      timeout: 60_000,
    });
    t.after(() => browser.close());
    const own = new Browser();
    own.#cdp = await browser.newBrowserCDPSession();
    own.#cdp.on('Target.receivedMessageFromTarget', ({ sessionId, message }) => {
      own.#sessions.get(sessionId)?.receive(JSON.parse(message));
    });
    await own.#cdp.send('Target.setDiscoverTargets', { discover: true, filter: [{}] });
    return own;
  }

  /** Opens a tab, outside of playwright's own contexts, where no extension works. */
  async open(url) {
    const { targetId } = await this.#cdp.send('Target.createTarget', { url });
    return this.#attach(targetId);
  }

  /** Opens the developer tools on a tab. */
  async openTools(tab) {
    const { targetId } = await this.#cdp.send('Target.openDevTools', { targetId: tab.targetId });
    return this.#attach(targetId);
  }

  /** Waits for a target whose address ends like this. */
  async target(end) {
    const seen = new Promise((resolve) => {
      for (const event of ['Target.targetCreated', 'Target.targetInfoChanged']) {
        this.#cdp.on(event, ({ targetInfo }) => targetInfo.url.endsWith(end) && resolve(targetInfo));
      }
    });
    const { targetInfos } = await this.#cdp.send('Target.getTargets', { filter: [{}] });
    const { targetId, url } = targetInfos.find((target) => target.url.endsWith(end)) ?? (await seen);
    return Object.assign(await this.#attach(targetId), { url });
  }

  async #attach(targetId) {
    // Playwright does not know the sessions of the flat protocol that it did not begin itself.
    const { sessionId } = await this.#cdp.send('Target.attachToTarget', { targetId, flatten: false });
    const session = new Session(this.#cdp, sessionId, targetId);
    this.#sessions.set(sessionId, session);
    await session.send('Runtime.enable');
    return session;
  }
}

/** A session with one target. */
class Session {
  #cdp;
  #sessionId;
  #next = 1;
  #waiting = new Map();
  targetId;

  constructor(cdp, sessionId, targetId) {
    this.#cdp = cdp;
    this.#sessionId = sessionId;
    this.targetId = targetId;
  }

  receive({ id, result, error }) {
    const { resolve, reject } = this.#waiting.get(id) ?? {};
    this.#waiting.delete(id);
    if (error) {
      reject?.(new Error(error.message));
    } else {
      resolve?.(result);
    }
  }

  async send(method, params = {}) {
    const id = this.#next++;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    const message = JSON.stringify({ id, method, params });
    await this.#cdp.send('Target.sendMessageToTarget', { sessionId: this.#sessionId, message });
    return answer;
  }

  /** Runs a function in the target, awaits what it returns, and returns that. */
  async run(task, ...values) {
    const expression = `(${task})(...${JSON.stringify(values)})`;
    const parameters = { expression, awaitPromise: true, returnByValue: true, userGesture: true };
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', parameters);
    if (exceptionDetails) {
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    }
    return result.value;
  }

  /** Waits until a function returns something in the target, and returns that. */
  async until(task, ...values) {
    return this.run(
      `(...values) => new Promise((resolve) => {
        const look = () => {
          const found = (${task})(...values);
          if (found) {
            observer.disconnect();
            resolve(found);
          }
        };
        const observer = new MutationObserver(look);
        observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
        look();
      })`,
      ...values,
    );
  }
}
