// A list that renders only the rows that are seen.

/** Browsers place nothing below some 33 million pixels: a longer list is scrolled in larger steps. */
const MAX_HEIGHT = 30_000_000;

/** Rows rendered above and below what is seen, so that scrolling does not show their making. */
const SPARE = 6;

export class VirtualList {
  readonly #space = document.createElement('div');
  readonly #window = document.createElement('div');
  #rows = 0;
  #scheduled = false;

  /**
   * @param scroller the element that scrolls
   * @param rowHeight of each row, in pixels: the style has to agree
   * @param render makes the row with this number
   */
  constructor(
    readonly scroller: HTMLElement,
    readonly rowHeight: number,
    readonly render: (row: number) => HTMLElement,
  ) {
    this.#space.className = 'space';
    this.#space.role = 'presentation';
    this.#window.className = 'window';
    this.#window.role = 'presentation';
    scroller.replaceChildren(this.#space, this.#window);
    scroller.addEventListener('scroll', () => this.schedule(), { passive: true });
    new ResizeObserver(() => this.schedule()).observe(scroller);
  }

  get rows(): number {
    return this.#rows;
  }

  /** Begins anew with this many rows. */
  show(rows: number): void {
    this.#rows = rows;
    this.#space.style.height = `${Math.min(rows * this.rowHeight, MAX_HEIGHT)}px`;
    this.scroller.scrollTo(0, 0);
    this.refresh();
  }

  /** Takes more rows, or fewer, and stays where it is. */
  resize(rows: number): void {
    this.#rows = rows;
    this.#space.style.height = `${Math.min(rows * this.rowHeight, MAX_HEIGHT)}px`;
    this.schedule();
  }

  /** Renders before the next frame. */
  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.refresh();
    });
  }

  /** Renders the rows that are seen. */
  refresh(): void {
    const { scrollTop, clientHeight } = this.scroller;
    if (clientHeight === 0) return;
    const top = this.#top();
    const first = Math.max(0, Math.floor(top / this.rowHeight) - SPARE);
    const last = Math.min(this.#rows, Math.ceil((top + clientHeight) / this.rowHeight) + SPARE);
    this.#window.style.transform = `translateY(${scrollTop + first * this.rowHeight - top}px)`;
    this.#window.replaceChildren(...Array.from({ length: Math.max(0, last - first) }, (_, place) => this.render(first + place)));
  }

  /** Scrolls so that the row is seen, no further than needed. */
  reveal(row: number): void {
    const { clientHeight } = this.scroller;
    const top = this.#top();
    const wanted = row * this.rowHeight;
    if (wanted < top) this.#scrollTo(wanted);
    else if (wanted + this.rowHeight > top + clientHeight) this.#scrollTo(wanted + this.rowHeight - clientHeight);
  }

  /** Returns the number of the rows that fit. */
  get page(): number {
    return Math.max(1, Math.floor(this.scroller.clientHeight / this.rowHeight) - 1);
  }

  /** The height of all rows, and of what stands for it. */
  get #heights(): readonly [all: number, shown: number] {
    const all = this.#rows * this.rowHeight;
    return [all, Math.min(all, MAX_HEIGHT)];
  }

  /** What is above the upper edge, in pixels of all rows. */
  #top(): number {
    const [all, shown] = this.#heights;
    const { scrollTop, clientHeight } = this.scroller;
    if (all === shown) return scrollTop;
    return (scrollTop / Math.max(1, shown - clientHeight)) * (all - clientHeight);
  }

  #scrollTo(top: number): void {
    const [all, shown] = this.#heights;
    const { clientHeight } = this.scroller;
    this.scroller.scrollTop = all === shown ? top : (top / (all - clientHeight)) * (shown - clientHeight);
    this.refresh();
  }
}
