// Captures for the tests: those that programs wrote, and ones that are made here.

import { closeSync, openSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const FOLDER = process.env.LOWBAND_CAPTURES ?? fileURLToPath(new URL('../../capture/tests/data', import.meta.url));

/** Returns the path of a capture or a key log that the crate `capture` is tested with. */
export const capture = (name) => `${FOLDER}/${name}`;

/**
 * A `PUT` with its answer in clear CoAP on port 5683, as two packets of raw IPv4; `format` is its
 * Content-Format in bytes.
 */
function exchange(number, body, format = [60]) {
  const client = 40_000 + (number % 200);
  const id = number & 0xffff;
  const token = Buffer.alloc(4);
  token.writeUInt32BE(number);
  const head = (type, code) => Buffer.concat([Buffer.from([0x40 | (type << 4) | 4, code, id >> 8, id & 0xff]), token]);
  // Uri-Path `7` stands for /sync; then the Content-Format, 60 is application/cbor; then the payload.
  const request = Buffer.concat([head(0, 0x03), Buffer.from([0xb1, 0x37, 0x10 | format.length, ...format, 0xff]), body]);
  const answer = Buffer.concat([head(2, 0x45), Buffer.from([0xc1, 60, 0xff, 0xa0])]);
  return [packet(client, 5683, request), packet(5683, client, answer)];
}

/** An IPv4 packet with UDP, whose checksums are left out: zero in UDP means none. */
function packet(from, to, payload) {
  const bytes = Buffer.alloc(28 + payload.length);
  bytes[0] = 0x45;
  bytes.writeUInt16BE(bytes.length, 2);
  bytes[8] = 64;
  bytes[9] = 17;
  bytes.set([10, 0, 0, from === 5683 ? 2 : 1], 12);
  bytes.set([10, 0, 0, from === 5683 ? 1 : 2], 16);
  bytes.writeUInt16BE(from, 20);
  bytes.writeUInt16BE(to, 22);
  bytes.writeUInt16BE(8 + payload.length, 24);
  bytes.set(payload, 28);
  return bytes;
}

/** The header of a pcap in microseconds, little-endian, of raw IP packets. */
function pcapHeader() {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65_535, 16);
  // LINKTYPE_RAW
  header.writeUInt32LE(101, 20);
  return header;
}

/** A packet of a pcap, at this many microseconds after 2025-11-30T06:00:00Z. */
function record(microseconds, bytes) {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(1_764_482_400 + Math.floor(microseconds / 1e6), 0);
  head.writeUInt32LE(microseconds % 1e6, 4);
  head.writeUInt32LE(bytes.length, 8);
  head.writeUInt32LE(bytes.length, 12);
  return Buffer.concat([head, bytes]);
}

/**
 * A pcap of four exchanges: one answered at once, one whose request was repeated, one without an answer, and
 * one so much later that nobody waits for it any longer.
 */
export function smallPcap() {
  const body = Buffer.from([0xa0]);
  const [first, firstAnswer] = exchange(1, body);
  const [second, secondAnswer] = exchange(2, body);
  const [third] = exchange(3, body);
  const [fourth, fourthAnswer] = exchange(4, body);
  const packets = [
    [0, first],
    [5000, firstAnswer],
    [10_000, second],
    [2_010_000, second],
    [2_020_000, secondAnswer],
    [3_000_000, third],
    [300e6, fourth],
    [301e6, fourthAnswer],
  ];
  return Buffer.concat([pcapHeader(), ...packets.map(([time, bytes]) => record(time, bytes))]);
}

/** A pcap of an exchange for each body of packed CBOR, Content-Format 65060. */
export function packedPcap(bodies) {
  const packets = bodies.flatMap((body, number) => exchange(number + 1, body, [0xfe, 0x24]));
  return Buffer.concat([pcapHeader(), ...packets.map((bytes, place) => record(place * 5000, bytes))]);
}

/** Writes a pcap of at least this many bytes, of exchanges with a kilobyte of body; returns their number. */
export function writeLarge(path, size) {
  const file = openSync(path, 'w');
  // {"type": text of 1,000 bytes}
  const body = Buffer.concat([Buffer.from([0xa1, 0x02, 0x79, 0x03, 0xe8]), Buffer.alloc(1000, 'x')]);
  let parts = [pcapHeader()];
  let written = 0;
  let exchanges = 0;
  for (; written < size; exchanges += 1) {
    // 100 exchanges a second, each answered after 5 ms.
    const records = exchange(exchanges, body).map((bytes, place) => record(exchanges * 10_000 + place * 5000, bytes));
    parts.push(...records);
    written += records[0].length + records[1].length;
    if (parts.length > 20_000 || written >= size) {
      writeSync(file, Buffer.concat(parts));
      parts = [];
    }
  }
  closeSync(file);
  return exchanges;
}

/** A HAR file of entries: method, path, status, request, response; bodies as a browser stores them. */
export function har(entries) {
  return JSON.stringify({
    log: {
      version: '1.2',
      entries: entries.map(([method, path, status, request, response]) => ({
        startedDateTime: '2026-11-30T03:40:00.123Z',
        time: 21.5,
        request: {
          method,
          url: `https://matrix.example.org${path}`,
          ...(request === undefined ? {} : { postData: { mimeType: 'application/cbor', text: request } }),
        },
        response: {
          status,
          content: response === undefined ? { mimeType: 'text/html', text: '<p>' } : { mimeType: 'application/cbor', encoding: 'base64', text: response },
        },
      })),
    },
  });
}
