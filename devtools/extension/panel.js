// The panel: the requests of the inspected page whose bodies are CBOR, from the browser's own network log.
// Nothing is put into the page, and nothing leaves the panel.

import { initSync } from './pkg/lowband_devtools.js';
import { isCbor, requestBody, responseBody, typeOf } from './bodies.js';
import { Recent } from './recent.js';
import { element, isValid, show } from './view.js';

/** Exchanges in the list; the oldest one goes first. */
const MAX_EXCHANGES = 1000;

const { network, panels } = chrome.devtools;
const list = document.getElementById('exchanges');
const details = document.getElementById('details');
const status = document.getElementById('status');

const recent = new Recent(MAX_EXCHANGES);

async function start() {
  document.documentElement.style.colorScheme = panels.themeName === 'dark' ? 'dark' : 'light';
  const module = await fetch('pkg/lowband_devtools_bg.wasm');
  initSync({ module: await module.arrayBuffer() });
  let early = [];
  network.onRequestFinished.addListener((entry) => (early ? early.push(entry) : announce(entry)));
  network.getHAR((log) => {
    log.entries.filter(hasCbor).forEach((entry) => recent.addLogged(key(entry), append(entry))?.remove());
    early.forEach(announce);
    early = undefined;
    count();
  });
  network.onNavigated.addListener(() => {
    if (!document.getElementById('keep').checked) {
      clear();
    }
  });
  document.getElementById('clear').addEventListener('click', clear);
  count();
}

function hasCbor({ request, response }) {
  return isCbor(typeOf(request.headers, request.postData)) || isCbor(typeOf(response.headers, response.content));
}

function key({ request, startedDateTime }) {
  return `${startedDateTime} ${request.method} ${request.url}`;
}

/** Lists an exchange that has ended. */
function announce(entry) {
  if (hasCbor(entry)) {
    const row = append(entry);
    const { replaced, dropped } = recent.addAnnounced(key(entry), row);
    replaced?.replaceWith(row);
    dropped?.remove();
    count();
  }
}

/** Adds a row for an exchange and returns it. */
function append(entry) {
  const { request, response } = entry;
  const { pathname } = new URL(request.url);
  const button = element(
    'button',
    { type: 'button' },
    `${request.method} ${pathname}`,
    element('small', { textContent: `${response.status} ${response.statusText}` }),
  );
  button.addEventListener('click', () => choose(button, entry));
  const row = element('li', {}, button);
  list.append(row);
  return row;
}

function clear() {
  list.replaceChildren();
  details.replaceChildren();
  recent.clear();
  count();
}

function count() {
  const number = recent.size;
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
