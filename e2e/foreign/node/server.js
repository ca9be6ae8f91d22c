// A CoAP server on node-coap, without DTLS and with its defaults: for tests of our client.
//
// It prints its port. Each line of standard input is a length: from then on every resource has that many
// bytes, of a new version. Each is answered by one line on standard output: how often a resource has been
// asked for since the last one. It ends with its input.
"use strict";

const readline = require("node:readline");
const coap = require("coap");

let version = 0;
let runs = 0;
let body = Buffer.alloc(0);

function change(length) {
  version += 1;
  const mark = String(version).padStart(6, "0");
  const lines = Array.from({ length: Math.ceil(length / 16) }, (_, line) => {
    return `${line.toString(16).padStart(7, "0")} ${mark} \n`;
  });
  body = Buffer.from(lines.join("")).subarray(0, length);
}

const server = coap.createServer((_request, response) => {
  runs += 1;
  response.end(body);
});

server.listen(0, "127.0.0.1", async () => {
  console.log(server._sock.address().port);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(runs);
    runs = 0;
    change(Number(line));
  }
  // The library keeps timers.
  process.exit(0);
});
