// The tests of values once more, as in a browser: without Node's Buffer, whose way with texts is a faster one.

const { Buffer } = globalThis;
globalThis.Buffer = undefined;
await import('lowband-codec');
globalThis.Buffer = Buffer;
await import('./objects.test.js');
