// What the pages of package.test.js and entries.test.js do with the package.

import { DecodeStream, decodeObject, decodeToString, encode, encodeObject } from 'lowband-codec';

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
said.value = decodeObject(encodeObject({ msgtype: 'm.text', body: '\u00fc\u20ac\ud83d\ude00 and a longer text' }));

// No top-level await: a plain script has none.
const stream = new Blob([cbor]).stream().pipeThrough(new DecodeStream()).pipeThrough(new TextDecoderStream());
stream.getReader().read().then(({ value }) => {
  said.streamed = value;
  document.querySelector('output').textContent = JSON.stringify(said);
});
