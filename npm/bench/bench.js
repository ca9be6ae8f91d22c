// The package beside the usual ways in Node. cbor-x reads texts with an addon in C++ there; it is without by
// CBOR_NATIVE_ACCELERATION_DISABLED=true.

import { readFileSync } from 'node:fs';
import * as cborX from 'cbor-x';
import { compare } from './compare.js';
import { report } from './report.js';

const ROUNDS = Number(process.env.ROUNDS ?? 300);
const ROUND_MS = 2;

const sync = Uint8Array.from(readFileSync(new URL('../../codec/tests/data/sync-medium.json', import.meta.url)));
const where = process.env.CBOR_NATIVE_ACCELERATION_DISABLED === undefined ? "Node, with cbor-x's addon" : 'Node';
report(where, compare(cborX, sync, ROUNDS, ROUND_MS), true);
