// Places in JSON text as JSON Pointers (RFC 6901).

const TOKENS = /"(?:[^"\\]|\\.)*"?|[[\]{}:,]/g;

/**
 * Returns the pointer of the value at this offset; for a key, that of its object.
 *
 * @param {string} json valid, from `JSON.stringify`
 * @param {number} offset in bytes of UTF-8
 */
export function pointerAt(json, offset) {
  const before = new TextDecoder().decode(new TextEncoder().encode(json).subarray(0, offset));
  // For each open container the index or key of its current value; undefined before a key's colon.
  /** @type {(string | number | undefined)[]} */
  const open = [];
  let key = '';
  for (const [token] of before.matchAll(TOKENS)) {
    const last = open.length - 1;
    const current = open[last];
    if (token === '[') open.push(0);
    else if (token === '{') open.push(undefined);
    else if (token === ']' || token === '}') open.pop();
    else if (token === ':') open[last] = JSON.parse(key);
    else if (token === ',') open[last] = typeof current === 'number' ? current + 1 : undefined;
    else key = token;
  }
  const escaped = (/** @type {string | number} */ part) => String(part).replaceAll('~', '~0').replaceAll('/', '~1');
  return open.map((part) => (part === undefined ? '' : `/${escaped(part)}`)).join('');
}
