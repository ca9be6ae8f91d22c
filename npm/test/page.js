// What the page of package.test.js does with the package.

import { decodeToString, encode } from 'lowband-codec';

const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');

function refusal() {
  try {
    encode('[1,]');
  } catch ({ name, kind, offset }) {
    return [name, kind, offset];
  }
}

const cbor = encode(new TextEncoder().encode('{"msgtype":"m.text","body":"Hello"}'));
const said = { cbor: hex(cbor), json: decodeToString(cbor), error: refusal() };
document.querySelector('output').textContent = JSON.stringify(said);
