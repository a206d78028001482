/**
 * A trace as a waterfall: a head with search and zoom, the whole of it in a strip, a row for each span, details. Knows
 * the DOM and plain data (see `trace_state.py`), and nothing of widgets: it can stand in a cell or in a side panel.
 *
 * @typedef {import("./trace_rows.js").TraceSpan} TraceSpan
 * @typedef {import("./trace_rows.js").TraceNode} TraceNode
 * @typedef {import("./trace_rows.js").TimeWindow} TimeWindow
 * @typedef {{
 *   trace_id: string, name: string, status: "ok" | "error" | "cancelled" | "running", started_at: number,
 *   duration_s: number, spans: TraceSpan[],
 * }} Trace
 * @typedef {{ attributes?(spanId: string): Promise<Record<string, any>> }} TraceActions
 */

import { Icon, element, seconds, setText } from "./elements.js";
import { TraceDetails } from "./trace_details.js";
import { TraceList } from "./trace_list.js";
import { TraceOverview } from "./trace_overview.js";
import { dragging, wheeling } from "./trace_pointer.js";
import { around, hasChildren, matching, panned, parentOf, searchText, treeOf, visibleRows, within, zoomed } from "./trace_rows.js";

const KEYS = "↑ ↓ move · ← → fold · Enter details · + − 0 zoom · F this span · Shift ← → along · / search";
/** @type {Record<Trace["status"], import("./elements.js").Status>} */
const STATUS_ICONS = { ok: "succeeded", error: "failed", cancelled: "cancelled", running: "running" };

/** The whole view in one place of one page. */
export class TraceView {
  /** @type {Icon} */
  icon;
  /** @type {HTMLElement} */
  name;
  /** @type {HTMLElement} */
  figures;
  /** @type {HTMLInputElement} */
  search;
  /** @type {HTMLElement} */
  count;
  /** @type {HTMLButtonElement} */
  whole;
  /** @type {Trace | null} */
  trace = null;
  /** @type {TraceNode[]} */
  nodes = [];
  /** @type {TraceNode[]} */
  rows = [];
  /** @type {string[]} */
  texts = [];
  /** @type {number[]} */
  found = [];
  /** @type {Set<string>} */
  folded = new Set();
  /** @type {TimeWindow} */
  seen = { from: 0, to: 0 };
  selected = "";

  /** @param {HTMLElement} el @param {TraceActions} actions @param {AbortSignal} signal */
  constructor(el, actions, signal) {
    this.actions = actions;
    this.root = el.appendChild(element("section", "panel waterfall"));
    // JupyterLab's shortcuts would take the keys away.
    this.root.dataset.lmSuppressShortcuts = "true";
    this.makeHead(signal);
    this.legend = this.root.appendChild(element("ul", "tv-legend"));
    this.legend.setAttribute("aria-label", "Kinds of spans");
    this.overview = new TraceOverview();
    this.root.append(this.overview.node, this.overview.axis);
    this.list = new TraceList(signal);
    this.body = this.root.appendChild(element("div", "tv-body"));
    this.body.append(this.list.node);
    this.marked = this.body.appendChild(element("div", "tv-marked"));
    this.empty = this.root.appendChild(element("div", "empty", "This trace holds no spans yet."));
    this.details = new TraceDetails(() => (this.details.hide(), this.list.node.focus()), signal);
    this.root.append(this.details.node);
    this.keys = this.root.appendChild(element("footer", "tv-keys", KEYS));
    this.spoken = this.root.appendChild(element("div", "spoken"));
    this.spoken.setAttribute("aria-live", "polite");
    this.listen(signal);
  }

  /** @param {AbortSignal} signal */
  makeHead(signal) {
    const head = this.root.appendChild(element("header", "panel-head"));
    this.icon = new Icon();
    head.append(this.icon.node);
    this.name = head.appendChild(element("strong", "panel-title"));
    this.figures = head.appendChild(element("span", "panel-figures"));
    const tools = head.appendChild(element("div", "panel-tools"));
    this.search = /** @type {HTMLInputElement} */ (tools.appendChild(element("input", "input tv-search")));
    this.search.type = "search";
    this.search.placeholder = "Search";
    this.search.setAttribute("aria-label", "Search spans");
    this.count = tools.appendChild(element("span", "tv-count"));
    const button = (/** @type {string} */ text, /** @type {string} */ label, /** @type {() => void} */ action) => {
      const made = /** @type {HTMLButtonElement} */ (tools.appendChild(element("button", "button icon-button", text)));
      made.type = "button";
      made.title = label;
      made.setAttribute("aria-label", label);
      made.addEventListener("click", action, { signal });
      return made;
    };
    button("−", "Zoom out", () => this.zoomBy(2));
    button("+", "Zoom in", () => this.zoomBy(0.5));
    this.whole = button("Fit", "Show the whole trace", () => this.zoom({ from: 0, to: this.total }));
  }

  get total() {
    return this.trace?.duration_s ?? 0;
  }

  /** @param {AbortSignal} signal */
  listen(signal) {
    this.search.addEventListener("input", () => this.look(), { signal });
    this.search.addEventListener("keydown", (event) => this.onSearchKey(event), { signal });
    this.list.node.addEventListener("keydown", (event) => this.onKey(event), { signal });
    this.list.node.addEventListener("click", (event) => this.onClick(event), { signal });
    this.list.node.addEventListener("dblclick", () => this.zoomToSelected(), { signal });
    const observer = new ResizeObserver(() => {
      const { node } = this.list;
      this.root.style.setProperty("--gutter", `${node.offsetWidth - node.clientWidth}px`); // of the scroll bar
      this.overview.zoom(this.seen, this.total);
    });
    observer.observe(this.root);
    signal.addEventListener("abort", () => observer.disconnect(), { once: true });
    dragging(this, signal);
    wheeling(this, signal);
  }

  /** @param {Trace} trace */
  set(trace) {
    if (!trace.spans) return;
    const isWhole = !this.trace || (this.seen.from <= 0 && this.seen.to >= this.total);
    this.trace = trace;
    this.nodes = treeOf(trace.spans);
    this.texts = [];
    this.root.setAttribute("aria-label", `Trace of ${trace.name || trace.trace_id.slice(0, 8)}`);
    this.list.node.setAttribute("aria-label", `Spans of ${trace.name || "the trace"}`);
    this.icon.set(STATUS_ICONS[trace.status] ?? "pending");
    setText(this.name, trace.name || "Trace");
    const failed = trace.spans.filter((span) => span.status === "error").length;
    const size = `${trace.spans.length.toLocaleString("en")} span${trace.spans.length === 1 ? "" : "s"}`;
    const parts = [seconds(trace.duration_s), size, failed && `${failed} failed`];
    setText(this.figures, parts.filter(Boolean).join(" · "));
    this.setLegend(trace.spans);
    const isEmpty = !trace.spans.length;
    this.empty.hidden = !isEmpty;
    for (const part of [this.overview.node, this.overview.axis, this.body, this.keys]) part.hidden = isEmpty;
    this.overview.set(this.nodes, this.total);
    this.zoom(isWhole ? { from: 0, to: this.total } : this.seen);
    if (this.search.value) this.look();
    else this.show();
    const node = this.nodeOf(this.selected);
    if (node && !this.details.node.hidden) this.explain(node);
  }

  /** @param {TraceSpan[]} spans */
  setLegend(spans) {
    const kinds = [...new Set(spans.map((span) => span.kind))];
    const entry = (/** @type {string} */ kind) => {
      const item = element("li", `kind-${kind}`);
      item.append(element("span", "tv-dot"), kind);
      return item;
    };
    this.legend.replaceChildren(...kinds.map(entry));
    this.legend.hidden = kinds.length < 2;
  }

  /** Draw the rows anew. */
  show() {
    this.rows = visibleRows(this.nodes, this.folded);
    const { selected, folded, seen } = this;
    this.list.set(this.rows, { selected, folded, seen, found: new Set(this.found), query: this.search.value.trim() !== "" });
  }

  /** @param {string} id */
  nodeOf(id) {
    return this.nodes.find((node) => node.span.id === id);
  }

  // --- zoom ---

  /** @param {TimeWindow} seen */
  zoom(seen) {
    this.seen = within(seen, this.total);
    this.list.zoom(this.seen);
    this.overview.zoom(this.seen, this.total);
    this.root.classList.toggle("dspex-tv-zoomed", this.seen.to - this.seen.from < this.total * 0.999);
  }

  /** Around the selected span if it is seen, else around the middle. @param {number} factor */
  zoomBy(factor) {
    const span = this.nodeOf(this.selected)?.span;
    const middle = span ? span.start_s + span.duration_s / 2 : NaN;
    const isSeen = middle >= this.seen.from && middle <= this.seen.to;
    this.zoom(zoomed(this.seen, factor, isSeen ? middle : (this.seen.from + this.seen.to) / 2, this.total));
  }

  zoomToSelected() {
    const node = this.nodeOf(this.selected);
    if (node) this.zoom(around(node.span, this.total));
  }

  // --- selection and details ---

  /** @param {TraceNode | undefined} node */
  select(node) {
    if (!node) return;
    this.selected = node.span.id;
    this.show();
    this.list.reveal();
    if (!this.details.node.hidden) this.explain(node);
  }

  /** @param {TraceNode} node */
  explain(node) {
    this.details.set(node, this.nodes);
    if (!node.span.is_cut || !this.actions.attributes) return;
    this.actions.attributes(node.span.id).then(
      (attributes) => this.selected === node.span.id && this.details.set(node, this.nodes, attributes),
      () => {}, // what is cut stays so
    );
  }

  /** @param {TraceNode} node @param {boolean} isOpen */
  fold(node, isOpen) {
    if (isOpen) this.folded.delete(node.span.id);
    else this.folded.add(node.span.id);
    this.show();
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const node = this.list.nodeAt(event.target);
    if (!node) return;
    if (event.target instanceof Element && event.target.closest(".dspex-tv-twist") && hasChildren(node)) {
      this.selected = node.span.id;
      this.fold(node, this.folded.has(node.span.id));
      return;
    }
    const isAgain = node.span.id === this.selected && !this.details.node.hidden;
    this.details.node.hidden = isAgain;
    this.select(node);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const place = this.rows.findIndex((node) => node.span.id === this.selected);
    const node = this.rows[place];
    const go = (/** @type {number} */ to) => this.select(this.rows[Math.max(0, Math.min(this.rows.length - 1, to))]);
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowDown: () => go(place + 1),
      ArrowUp: () => go(Math.max(0, place - 1)),
      PageDown: () => go(place + this.list.page()),
      PageUp: () => go(place - this.list.page()),
      Home: () => go(0),
      End: () => go(this.rows.length - 1),
      ArrowRight: () => this.onRight(node, event.shiftKey),
      ArrowLeft: () => this.onLeft(node, event.shiftKey),
      Enter: () => this.toggle(node),
      " ": () => this.toggle(node),
      "+": () => this.zoomBy(0.5),
      "=": () => this.zoomBy(0.5),
      "-": () => this.zoomBy(2),
      0: () => this.zoom({ from: 0, to: this.total }),
      f: () => this.zoomToSelected(),
      n: () => this.next(1),
      N: () => this.next(-1),
      "/": () => this.search.focus(),
      Escape: () => this.details.hide(),
    };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  /** @param {TraceNode | undefined} node */
  toggle(node) {
    if (!node) return;
    if (this.details.node.hidden) this.explain(node);
    else this.details.hide();
  }

  /** @param {TraceNode | undefined} node @param {boolean} isShifted */
  onRight(node, isShifted) {
    if (isShifted) this.zoom(panned(this.seen, 0.2, this.total));
    else if (node && this.folded.has(node.span.id)) this.fold(node, true);
    else if (node && hasChildren(node)) this.select(this.nodes[node.index + 1]);
  }

  /** @param {TraceNode | undefined} node @param {boolean} isShifted */
  onLeft(node, isShifted) {
    if (isShifted) this.zoom(panned(this.seen, -0.2, this.total));
    else if (node && hasChildren(node) && !this.folded.has(node.span.id)) this.fold(node, false);
    else if (node) this.select(parentOf(this.nodes, node));
  }

  // --- search ---

  /** Find what was typed, and go to the first of it. */
  look() {
    if (!this.texts.length) this.texts = this.nodes.map((node) => searchText(node.span));
    const query = this.search.value.trim();
    this.found = matching(this.texts, query);
    this.show();
    if (query) this.next(0);
    this.tellCount(query);
  }

  /** To the next match (1), the one before (-1), or the first from here (0). @param {number} by */
  next(by) {
    if (!this.found.length) return;
    const here = this.nodeOf(this.selected)?.index ?? -1;
    const after = this.found.findIndex((index) => (by > 0 ? index > here : index >= here));
    const place = by < 0 ? this.found.findLastIndex((index) => index < here) : after;
    const index = this.found[place < 0 ? (by < 0 ? this.found.length - 1 : 0) : place];
    // What is around it is opened, or nobody would see it.
    for (let node = parentOf(this.nodes, this.nodes[index]); node; node = parentOf(this.nodes, node)) {
      this.folded.delete(node.span.id);
    }
    this.select(this.nodes[index]);
    this.tellCount(this.search.value.trim());
  }

  /** @param {string} query */
  tellCount(query) {
    const place = this.found.indexOf(this.nodeOf(this.selected)?.index ?? -1);
    setText(this.count, !query ? "" : this.found.length ? `${place + 1} of ${this.found.length}` : "none");
    setText(this.spoken, query ? `${this.found.length} spans found` : "");
  }

  /** @param {KeyboardEvent} event */
  onSearchKey(event) {
    event.stopPropagation();
    if (event.key === "Enter") this.next(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") {
      this.search.value = "";
      this.look();
      this.list.node.focus();
    } else if (event.key === "ArrowDown") this.list.node.focus();
    else return;
    event.preventDefault();
  }
}
