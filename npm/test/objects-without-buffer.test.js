// The tests of values once more, as in a browser: without Node's Buffer, which has a faster way with texts.

const { Buffer } = globalThis;
globalThis.Buffer = undefined;
await import('lowband-codec');
globalThis.Buffer = Buffer;
await import('./objects.test.js');
await import('./texts.test.js');
