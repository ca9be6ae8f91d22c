// Which exchanges are listed: a bounded number, and each once, although those that the log had at the start
// may be announced as well when they end.

export class Recent {
  #max;
  #rows = [];
  #logged = new Map();

  /** @param {number} max how many are listed; the oldest one goes first */
  constructor(max) {
    this.#max = max;
  }

  get size() {
    return this.#rows.length;
  }

  /** Adds a row that the log had at the start. Returns the row that gives way to it, if one does. */
  addLogged(key, row) {
    this.#logged.set(key, row);
    return this.#push(row);
  }

  /** Adds a row that was announced. Returns the row that it replaces, or else one that gives way to it. */
  addAnnounced(key, row) {
    const at = this.#rows.indexOf(this.#logged.get(key));
    this.#logged.delete(key);
    if (at < 0) {
      return { dropped: this.#push(row) };
    }
    const [replaced] = this.#rows.splice(at, 1, row);
    return { replaced };
  }

  clear() {
    this.#rows = [];
    this.#logged.clear();
  }

  #push(row) {
    this.#rows.push(row);
    return this.#rows.length > this.#max ? this.#rows.shift() : undefined;
  }
}
