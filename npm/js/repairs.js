// The repairs of a lenient call.

/** @import { Repairs } from './index.js' */

// The names are in the module's order.
const NAMES = /** @type {const} */ (['bigIntegers', 'hugeNumbers', 'repeatedKeys', 'loneSurrogates', 'tooDeep']);

/**
 * @param {{ repaired(place: number): number }} encoder
 * @returns {Repairs | undefined} undefined if nothing was repaired
 */
export function repairsOf(encoder) {
  const counts = NAMES.map((name, place) => /** @type {const} */ ([name, encoder.repaired(place)]));
  if (counts.every(([, count]) => count === 0)) return undefined;
  return /** @type {Repairs} */ (/** @type {unknown} */ (Object.fromEntries(counts)));
}
