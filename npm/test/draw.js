// Pseudo-random values that JSON has, equal in each run.

export class Draw {
  #state;

  constructor(seed) {
    this.#state = seed;
  }

  below(count) {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    // The lower bits of such a number repeat soon.
    return Math.floor((this.#state / 2 ** 32) * count);
  }

  of(list) {
    return list[this.below(list.length)];
  }

  text(longest = this.of([3, 20, 30, 70, 300])) {
    const letters = this.of(['a', 'abc', 'aü', 'ü€', '€😀a', 'a"\\\n\u0000', '\ufeff\ufffda']);
    return Array.from({ length: this.below(longest + 1) }, () => this.of([...letters])).join('');
  }

  number() {
    const sign = this.of([1, 1, -1]);
    const whole = 2 ** this.below(53) + this.below(3) - 1;
    const edges = [0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 53 + 2, 2 ** 63];
    return sign * this.of([whole, whole, this.of(edges), this.below(1000) / 16, this.below(1000) / 7, 1.5e300, 5e-324, 1e21]);
  }

  /** `names`: of a key table, so that integers are among the keys. */
  value(names, depth = 4) {
    const kind = this.below(depth === 0 ? 5 : 9);
    if (kind < 2) return this.text();
    if (kind === 2) return this.number();
    if (kind < 5) return this.of([null, true, false, 0, '']);
    const length = this.of([0, 1, 2, 3, 30]) % (depth * 9);
    if (kind < 6) return Array.from({ length }, () => this.value(names, depth - 1));
    const key = () => this.of([this.of(names), this.of(names), this.text(30), String(this.below(200)), 'toString']);
    return Object.fromEntries(Array.from({ length }, () => [key(), this.value(names, depth - 1)]));
  }
}
