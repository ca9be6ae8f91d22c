// What the page of package.test.js does with the package.

import { DecodeStream, decodeToString, encode } from 'lowband-codec';

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

const stream = new Blob([cbor]).stream().pipeThrough(new DecodeStream()).pipeThrough(new TextDecoderStream());
said.streamed = (await stream.getReader().read()).value;
document.querySelector('output').textContent = JSON.stringify(said);
