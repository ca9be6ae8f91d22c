// What could not be read, told with its place and with what can be done.

import type { Refusal, Repairs } from '../codec.ts';
import { count, visible } from '../format.ts';

export interface Action {
  readonly name: string;
  readonly act: () => void;
}

export interface Problem {
  readonly title: string;
  /** The place, drawn in a text of fixed width. */
  readonly excerpt?: string;
  readonly actions?: readonly Action[];
}

/** Letters of a line shown before and after the place: a narrow screen has room for both. */
const AROUND = 17;

/** The kinds of refusal that the lenient policy repairs. */
const REPAIRED = ['repeated_key', 'big_integer', 'huge_number', 'lone_surrogate', 'too_deep', 'byte_order_mark'];

/** What the lenient policy repairs, in its words: the codec's name, one, and more than one of it. */
const REPAIRS: readonly (readonly [name: string, text: string])[] = [
  ['big_integers', 'whole number beyond 64 bits, written as a float'],
  ['huge_numbers', 'number that no float holds, written as null'],
  ['repeated_keys', 'repeated key, of which the last one counts'],
  ['lone_surrogates', 'lone surrogate, written as U+FFFD'],
  ['too_deep', 'array or object nested too deep, written as null'],
];

/** Returns what was repaired, counted; an empty text if nothing was. */
export function repairsText(repairs: Repairs): string {
  return REPAIRS.flatMap(([name, text]) => {
    const number = repairs[name] ?? 0;
    return number === 0 ? [] : [`${count(number)} × ${text}`];
  }).join('; ');
}

/** Tells why CBOR could not be read further. */
export function refusalProblem({ offset, sentence }: Refusal, actions: readonly Action[]): Problem {
  const place = `byte ${count(offset)} (0x${offset.toString(16)})`;
  return { title: `Reading ended at ${place}: ${sentence}. What stands before it is shown.`, actions };
}

/** Tells why a JSON text was refused, with its line. */
export function jsonProblem(
  json: string,
  { offset, utf16, kind, sentence }: Refusal,
  what: string,
  { show, repair }: { show: ((at: number) => void) | undefined; repair: (() => void) | undefined },
): Problem {
  const at = utf16 ?? json.length;
  const before = json.slice(0, at);
  const line = before.split('\n').length;
  const column = at - (before.lastIndexOf('\n') + 1);
  const from = Math.max(at - column, at - AROUND);
  const end = json.indexOf('\n', at);
  const left = visible(json.slice(from, at));
  const right = visible(json.slice(at, Math.min(end < 0 ? json.length : end, at + AROUND)));
  const actions = show === undefined ? [] : [{ name: 'Show the place', act: () => show(at) }];
  if (repair !== undefined && REPAIRED.includes(kind)) actions.push({ name: 'Repair it', act: repair });
  return {
    title: `The ${what} is refused at byte ${count(offset)}, line ${count(line)}, column ${count(column + 1)}: ${sentence}.`,
    excerpt: `${left}${right}\n${' '.repeat(left.length)}^`,
    actions,
  };
}
