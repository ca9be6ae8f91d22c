// The code blocks of the README, so that tests can run them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

export const README = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

/**
 * Returns all blocks in this language, in order, each with the block of output (language `text`) that
 * follows it directly.
 */
export function blocks(language) {
  const all = [...README.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, kind, text]) => ({ kind, text }));
  const found = all.flatMap(({ kind, text }, place) => {
    if (kind !== language) return [];
    const next = all[place + 1];
    return [{ text, output: next?.kind === 'text' ? next.text : undefined }];
  });
  assert.ok(found.length > 0, `${language} in the README`);
  return found;
}
