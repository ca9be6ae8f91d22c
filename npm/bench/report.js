// What was measured, as a table and as JSON lines, and whether it is enough.

// How many times as fast the package must be: on a sync, and on one event.
const MUST = {
  'JSON to CBOR': [5, 3],
  'CBOR to JSON': [5, 3],
  'value to CBOR': [1, 0.9],
  'CBOR to value': [1, 0.9],
};

/** Prints the results of a comparison, made at the place `where`; fails the program if one must be better. */
export function report(where, results, gated) {
  console.log(`${where.padEnd(28)}${'lowband-codec'.padStart(16)}${'the usual way'.padStart(16)}   ratio`);
  const lines = [];
  for (const { document, direction, bytes, calls, mine, theirs } of results) {
    const name = `${direction}, ${document}`;
    const shown = (ms) => (calls === 1 ? `${(bytes / ms / 1000).toFixed(0)} MB/s` : `${((ms / calls) * 1e6).toFixed(0)} ns`);
    const ratio = theirs / mine;
    const must = MUST[direction][calls === 1 ? 0 : 1];
    console.log(`${name.padEnd(28)}${shown(mine).padStart(16)}${shown(theirs).padStart(16)}${ratio.toFixed(2).padStart(8)}${gated ? ` (>= ${must})` : ''}`);
    lines.push({ name: `npm, ${name}, ${where}: over the usual way`, value: +ratio.toFixed(3), unit: 'ratio' });
    if (gated && ratio < must) {
      console.error(`${where}: ${name}: ${ratio.toFixed(2)} times as fast, ${must} are asked for`);
      process.exitCode = 1;
    }
  }
  for (const line of lines) console.log(JSON.stringify(line));
}
