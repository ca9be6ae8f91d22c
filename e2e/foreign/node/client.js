// A CoAP client on node-coap or node-coap-client, without DTLS and with their defaults, driven by lines of
// JSON: for tests of late answers.
//
// The arguments are "coap" or "node-coap-client", and the server, HOST:PORT. Each line of standard input is a
// path, as JSON text, that is fetched; each is answered by one line on standard output: the code and the
// payload in hexadecimal digits, or what failed. The program ends with its input.
"use strict";

const readline = require("node:readline");

const [library, server] = process.argv.slice(2);

const fetchWith = {
  coap() {
    const coap = require("coap");
    const [hostname, port] = server.split(":");
    return (pathname) =>
      new Promise((resolve, reject) => {
        const request = coap.request({ hostname, port: Number(port), pathname });
        request.on("error", reject);
        request.on("response", (response) => resolve({ code: response.code, payload: response.payload }));
        request.end();
      });
  },
  "node-coap-client"() {
    const { CoapClient } = require("node-coap-client");
    return async (pathname) => {
      const { code, payload } = await CoapClient.request(`coap://${server}${pathname}`, "get");
      return { code: `${code.major}.${String(code.minor).padStart(2, "0")}`, payload };
    };
  },
}[library]();

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let answer;
    try {
      const { code, payload } = await fetchWith(JSON.parse(line));
      answer = { code, payload: (payload ?? Buffer.alloc(0)).toString("hex") };
    } catch (error) {
      answer = { error: String(error) };
    }
    await new Promise((written) => process.stdout.write(`${JSON.stringify(answer)}\n`, written));
  }
  // Both libraries keep sockets and timers open.
  process.exit(0);
}

main();
