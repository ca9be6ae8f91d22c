// The panel: the requests of the inspected page whose bodies are CBOR, from the browser's own network log.
// Nothing is put into the page, and nothing leaves the panel.

import { initSync } from './pkg/lowband_devtools.js';
import { isCbor, requestBody, responseBody, typeOf } from './bodies.js';
import { element, isValid, show } from './view.js';

/** Exchanges in the list; the oldest one goes first. */
const MAX_EXCHANGES = 1000;

const { network, panels } = chrome.devtools;
const list = document.getElementById('exchanges');
const details = document.getElementById('details');
const status = document.getElementById('status');

/** Entries that are in the list already: the log has some that were also announced. */
const known = new Set();

async function start() {
  document.documentElement.style.colorScheme = panels.themeName === 'dark' ? 'dark' : 'light';
  const module = await fetch('pkg/lowband_devtools_bg.wasm');
  initSync({ module: await module.arrayBuffer() });
  network.onRequestFinished.addListener(add);
  network.getHAR((log) => log.entries.forEach(add));
  network.onNavigated.addListener(() => {
    if (!document.getElementById('keep').checked) {
      clear();
    }
  });
  document.getElementById('clear').addEventListener('click', clear);
  count();
}

function add(entry) {
  const { request, response, startedDateTime } = entry;
  const types = [typeOf(request.headers, request.postData), typeOf(response.headers, response.content)];
  const key = `${startedDateTime} ${request.method} ${request.url}`;
  if (!types.some(isCbor) || known.has(key)) {
    return;
  }
  known.add(key);
  const { pathname } = new URL(request.url);
  const button = element(
    'button',
    { type: 'button' },
    `${request.method} ${pathname}`,
    element('small', { textContent: `${response.status} ${response.statusText}` }),
  );
  button.addEventListener('click', () => choose(button, entry));
  list.append(element('li', {}, button));
  if (list.childElementCount > MAX_EXCHANGES) {
    list.firstElementChild.remove();
  }
  count();
}

function clear() {
  list.replaceChildren();
  details.replaceChildren();
  known.clear();
  count();
}

function count() {
  const number = list.childElementCount;
  document.getElementById('empty').hidden = number > 0;
  status.textContent = number === 1 ? '1 request' : `${number} requests`;
}

async function choose(button, entry) {
  for (const other of list.querySelectorAll('[aria-current]')) {
    other.removeAttribute('aria-current');
  }
  button.setAttribute('aria-current', 'true');
  const request = requestBody(entry, isValid);
  const response = await responseBody(entry, isValid);
  if (button.getAttribute('aria-current') !== 'true') {
    return;
  }
  details.replaceChildren(
    element('h2', { textContent: `${entry.request.method} ${entry.request.url}` }),
    section('Request', request),
    section('Response', response),
  );
}

/** Returns one body with its heading. */
function section(title, { type, known, candidates }) {
  const made = element('section', {}, element('h3', { textContent: `${title}: ${type || 'no type'}` }));
  made.dataset.body = title.toLowerCase();
  if (candidates.length === 0) {
    made.append(element('p', { textContent: 'No body in the network log.' }));
  } else if (!isCbor(type)) {
    made.append(element('p', { textContent: 'Not CBOR.' }));
  } else if (known) {
    made.append(...show(candidates[0], type));
  } else {
    made.append(
      element('p', {
        className: 'wrong',
        textContent:
          'The network log has this body as a text that two different bodies look like. Which of them was ' +
          'sent cannot be told:',
      }),
    );
    for (const bytes of candidates) {
      made.append(element('div', { className: 'candidate' }, ...show(bytes, type)));
    }
  }
  return made;
}

start().catch((error) => {
  status.textContent = `The panel did not start: ${error.message}`;
  status.className = 'wrong';
});
