/**
 * The rows of a trace: only those that are seen are in the page, whatever the trace holds. Knows the DOM and
 * `trace_rows.js`; what is selected, folded and zoomed is told to it.
 *
 * @typedef {import("./trace_rows.js").TraceNode} TraceNode
 * @typedef {import("./trace_rows.js").TimeWindow} TimeWindow
 * @typedef {{ selected: string, folded: Set<string>, found: Set<number>, query: boolean, seen: TimeWindow }} ListState
 */

import { element, seconds, setText } from "./elements.js";
import { hasChildren } from "./trace_rows.js";

/** As the style sheet says. */
export const ROW_PX = 26;
/** The room that a time takes. */
const LABEL_PX = 62;
/** Rows beyond both edges, so that a quick scroll shows no gap. */
const OVERSCAN = 8;

let lists = 0;

/** One row, used again for another span when its own is scrolled away. */
class TraceRow {
  /** @type {TraceNode | null} */
  node = null;
  mark = -1;

  constructor() {
    this.element = element("div", "tv-row");
    this.element.setAttribute("role", "treeitem");
    const name = this.element.appendChild(element("div", "tv-name"));
    this.indent = name.appendChild(element("span", "tv-indent"));
    this.twist = name.appendChild(element("span", "tv-twist"));
    this.dot = name.appendChild(element("span", "tv-dot"));
    this.text = name.appendChild(element("span", "tv-text"));
    this.track = this.element.appendChild(element("div", "tv-track"));
    this.bar = this.track.appendChild(element("div", "tv-bar"));
    this.time = this.track.appendChild(element("span", "tv-time"));
    for (const part of [this.indent, this.twist, this.dot]) part.setAttribute("aria-hidden", "true");
  }

  /** @param {TraceNode} node @param {number} place @param {ListState} state @param {string} id @param {number} label */
  set(node, place, state, id, label) {
    const { span } = node;
    const { element: row } = this;
    this.node = node;
    row.id = id;
    row.style.transform = `translateY(${place * ROW_PX}px)`;
    const isFolded = state.folded.has(span.id);
    const isFound = state.found.has(node.index);
    const names = ["dspex-tv-row", `dspex-kind-${span.kind}`, `dspex-span-${span.status}`];
    if (span.id === state.selected) names.push("dspex-tv-selected");
    if (state.query) names.push(isFound ? "dspex-tv-found" : "dspex-tv-dim");
    row.className = names.join(" ");
    row.setAttribute("aria-level", String(node.depth + 1));
    row.setAttribute("aria-posinset", String(node.position));
    row.setAttribute("aria-setsize", String(node.siblings));
    row.setAttribute("aria-selected", String(span.id === state.selected));
    if (hasChildren(node)) row.setAttribute("aria-expanded", String(!isFolded));
    else row.removeAttribute("aria-expanded");
    const took = span.status === "running" ? "running" : seconds(span.duration_s);
    const state_ = span.status === "ok" ? "" : `, ${span.status}`;
    row.setAttribute("aria-label", `${span.name}, ${span.kind}, ${took}${state_}`);
    this.indent.style.setProperty("--depth", String(Math.min(node.depth, 16)));
    setText(this.twist, hasChildren(node) ? (isFolded ? "▸" : "▾") : "");
    setText(this.text, span.name);
    this.text.title = span.name;
    this.place(state.seen, label);
    const count = node.end - node.index - 1;
    setText(this.time, isFolded && count ? `${took} · ${count} inside` : took);
  }

  /** @param {TimeWindow} seen @param {number} label how much of the width a time takes, in percent */
  place(seen, label) {
    if (!this.node) return;
    const { start_s, duration_s } = this.node.span;
    const length = seen.to - seen.from || 1;
    const left = (100 * (start_s - seen.from)) / length;
    const right = (100 * (start_s + duration_s - seen.from)) / length;
    const isBefore = right < 0;
    const isAfter = left > 100;
    this.track.classList.toggle("dspex-tv-before", isBefore);
    this.track.classList.toggle("dspex-tv-after", isAfter);
    const from = Math.max(0, Math.min(100, left));
    const to = Math.max(from, Math.min(100, right));
    this.bar.style.left = `${from}%`;
    this.bar.style.width = isBefore || isAfter ? "0" : `max(2px, ${to - from}%)`;
    // The time stands where there is room: behind the bar, before it, or in it.
    const room = 100 - to >= label ? "after" : from >= label ? "before" : "in";
    this.time.className = `dspex-tv-time dspex-tv-time-${room}`;
    this.time.style.left = room === "after" ? `${to}%` : room === "in" ? `${from}%` : "auto";
    this.time.style.right = room === "before" ? `${100 - from}%` : "auto";
  }
}

/** The scrolling list. */
export class TraceList {
  /** @type {TraceNode[]} */
  rows = [];
  /** @type {TraceRow[]} */
  slots = [];
  /** @type {ListState} */
  state = { selected: "", folded: new Set(), found: new Set(), query: false, seen: { from: 0, to: 1 } };
  mark = 0;
  isDue = false;

  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.id = `dspex-tv-${++lists}`;
    this.signal = signal;
    this.node = element("div", "tv-scroll");
    this.node.tabIndex = 0;
    this.node.setAttribute("role", "tree");
    this.space = this.node.appendChild(element("div", "tv-space"));
    this.space.setAttribute("role", "none");
    this.node.addEventListener("scroll", () => this.draw(), { signal, passive: true });
    const observer = new ResizeObserver(() => this.draw());
    observer.observe(this.node);
    signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  }

  /** @param {TraceNode[]} rows @param {ListState} state */
  set(rows, state) {
    this.rows = rows;
    this.state = state;
    this.mark += 1;
    this.space.style.height = `${rows.length * ROW_PX}px`;
    const index = this.place();
    if (index >= 0) this.node.setAttribute("aria-activedescendant", this.rowId(index));
    else this.node.removeAttribute("aria-activedescendant");
    this.draw();
  }

  /** @param {TimeWindow} seen */
  zoom(seen) {
    this.state = { ...this.state, seen };
    this.draw(true);
  }

  place() {
    return this.rows.findIndex((node) => node.span.id === this.state.selected);
  }

  /** @param {number} index */
  rowId(index) {
    return `${this.id}-${this.rows[index].index}`;
  }

  /** Bring the selected row into sight. */
  reveal() {
    const index = this.place();
    if (index < 0) return;
    const top = index * ROW_PX;
    const { scrollTop, clientHeight } = this.node;
    if (top < scrollTop) this.node.scrollTop = top;
    else if (top + ROW_PX > scrollTop + clientHeight) this.node.scrollTop = top + ROW_PX - clientHeight;
    this.draw();
  }

  /** How many rows fit. */
  page() {
    return Math.max(1, Math.floor(this.node.clientHeight / ROW_PX) - 1);
  }

  draw(isZoom = false) {
    this.isZoom = this.isZoom || isZoom;
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      if (!this.signal.aborted) this.drawNow();
    });
  }

  drawNow() {
    const height = this.node.clientHeight || 400;
    const first = Math.max(0, Math.floor(this.node.scrollTop / ROW_PX) - OVERSCAN);
    const last = Math.min(this.rows.length, Math.ceil((this.node.scrollTop + height) / ROW_PX) + OVERSCAN);
    const wanted = Math.max(0, last - first);
    const label = Math.min(100, (100 * LABEL_PX) / (this.slots[0]?.track.clientWidth || 400));
    while (this.slots.length < wanted) {
      const row = new TraceRow();
      this.slots.push(row);
      this.space.append(row.element);
    }
    const isFresh = new Set();
    for (let place = first; place < last; place++) {
      const slot = this.slots[place % this.slots.length];
      isFresh.add(slot);
      slot.element.hidden = false;
      if (slot.node !== this.rows[place] || slot.mark !== this.mark) {
        slot.mark = this.mark;
        slot.set(this.rows[place], place, this.state, this.rowId(place), label);
      } else if (this.isZoom) slot.place(this.state.seen, label);
    }
    for (const slot of this.slots) {
      if (isFresh.has(slot)) continue;
      slot.element.hidden = true;
      slot.node = null;
    }
    this.isZoom = false;
  }

  /** The node of the row that `target` is in. @param {EventTarget | null} target */
  nodeAt(target) {
    const row = target instanceof Element ? target.closest(".dspex-tv-row") : null;
    return this.slots.find((slot) => slot.element === row && !slot.element.hidden)?.node ?? null;
  }
}
