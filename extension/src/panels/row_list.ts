/** A list of rows that are kept as long as what they show: no flicker, and the reader's place stays. */

export interface Row<T> {
  readonly node: HTMLElement;
  set(item: T): void;
  /** Time went by. */
  tick?(now: number): void;
  /** Enter, or a click on the row. */
  open?(): void;
}

/** Arrow keys go from row to row, Home and End to the ends, Enter opens; buttons in a row are reached by Tab. */
export class RowList<T> {
  readonly node = document.createElement("ul");
  private rows = new Map<string, Row<T>>();

  constructor(
    label: string,
    private readonly key: (item: T) => string,
    private readonly make: () => Row<T>,
  ) {
    this.node.className = "dspex-side-list";
    this.node.setAttribute("aria-label", label);
    this.node.addEventListener("keydown", (event) => this.onKey(event));
    this.node.addEventListener("click", (event) => this.onClick(event));
    this.node.addEventListener("focusin", (event) => this.mark(this.rowOf(event.target)?.node));
  }

  set(items: readonly T[]): void {
    const wanted = new Set(items.map(this.key));
    for (const [key, row] of this.rows) {
      if (wanted.has(key)) continue;
      row.node.remove();
      this.rows.delete(key);
    }
    items.forEach((item, index) => {
      const row = this.row(this.key(item));
      row.set(item);
      const there = this.node.children[index];
      if (there !== row.node) this.node.insertBefore(row.node, there ?? null);
    });
    if (!this.node.querySelector('[tabindex="0"]')) this.mark(this.node.firstElementChild);
  }

  tick(now: number): void {
    for (const row of this.rows.values()) row.tick?.(now);
  }

  private row(key: string): Row<T> {
    const known = this.rows.get(key);
    if (known) return known;
    const made = this.make();
    made.node.classList.add("dspex-side-row");
    made.node.tabIndex = -1;
    this.rows.set(key, made);
    return made;
  }

  /** Tab comes back to where the reader was. */
  private mark(node: Element | null | undefined): void {
    if (!node) return;
    for (const row of this.rows.values()) row.node.tabIndex = row.node === node ? 0 : -1;
  }

  private rowOf(target: EventTarget | null): Row<T> | undefined {
    return [...this.rows.values()].find((row) => target instanceof Node && row.node.contains(target));
  }

  private onClick(event: MouseEvent): void {
    if (event.target instanceof Element && event.target.closest("button")) return;
    this.rowOf(event.target)?.open?.();
  }

  private onKey(event: KeyboardEvent): void {
    const row = this.rowOf(event.target);
    if (!row) return;
    const nodes = [...this.node.children] as HTMLElement[];
    const at = nodes.indexOf(row.node);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: nodes.length - 1 }[event.key];
    if (to !== undefined) nodes[Math.max(0, Math.min(to, nodes.length - 1))]?.focus();
    else if (event.key === "Enter" && event.target === row.node) row.open?.();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
