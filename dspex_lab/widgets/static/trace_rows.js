/**
 * A trace as rows: its tree, what of it is open, what matches a search, and which part of the time is seen. Pure; knows
 * neither DOM nor widgets.
 *
 * @typedef {"cell" | "run" | "step" | "call" | "queue" | "module" | "lm" | "tool" | "native" | "other"} SpanKind
 * @typedef {{
 *   id: string, parent: string | null, name: string, kind: SpanKind, start_s: number, duration_s: number,
 *   status: "ok" | "error" | "cancelled" | "running", message: string, attributes: Record<string, any>,
 *   is_cut?: boolean,
 * }} TraceSpan
 * @typedef {{ span: TraceSpan, index: number, depth: number, end: number, position: number, siblings: number }} TraceNode
 *   `end`: the index after its last descendant; `position` (from 1) among its `siblings`
 * @typedef {{ from: number, to: number }} TimeWindow seconds since the trace's start
 */

/** Closer nobody can look, in seconds. */
const CLOSEST_S = 1e-6;

/**
 * Spans that stand in tree order, parents before children, each with its depth and the extent of what is below it.
 * @param {TraceSpan[]} spans
 * @returns {TraceNode[]}
 */
export function treeOf(spans) {
  /** @type {TraceNode[]} */
  const nodes = [];
  /** @type {TraceNode[]} */
  const open = [];
  /** @type {Map<string | null, TraceNode[]>} */
  const families = new Map();
  spans.forEach((span, index) => {
    while (open.length && open[open.length - 1].span.id !== span.parent) closeNode(open, index);
    const parent = open.length ? span.parent : null;
    const family = families.get(parent) ?? [];
    if (!family.length) families.set(parent, family);
    const node = { span, index, depth: open.length, end: index + 1, position: family.length + 1, siblings: 1 };
    family.push(node);
    nodes.push(node);
    open.push(node);
  });
  while (open.length) closeNode(open, spans.length);
  for (const family of families.values()) for (const node of family) node.siblings = family.length;
  return nodes;
}

/** @param {TraceNode[]} open @param {number} end */
function closeNode(open, end) {
  const node = open.pop();
  if (node) node.end = end;
}

/** Whether something hangs below it. @param {TraceNode} node */
export const hasChildren = (node) => node.end > node.index + 1;

/**
 * The nodes that are seen when those in `folded` are closed.
 * @param {TraceNode[]} nodes @param {Set<string>} folded
 */
export function visibleRows(nodes, folded) {
  /** @type {TraceNode[]} */
  const rows = [];
  for (let index = 0; index < nodes.length; index = folded.has(nodes[index].span.id) ? nodes[index].end : index + 1) {
    rows.push(nodes[index]);
  }
  return rows;
}

/** The node around it, or undefined. @param {TraceNode[]} nodes @param {TraceNode} node */
export function parentOf(nodes, node) {
  let index = node.index - 1;
  while (index >= 0 && nodes[index].depth >= node.depth) index--;
  return nodes[index];
}

/** What a search looks through, made once for each span. @param {TraceSpan} span */
export const searchText = (span) =>
  `${span.name}\n${span.kind}\n${span.status}\n${span.message}\n${Object.values(span.attributes).join("\n")}`.toLowerCase();

/**
 * The indices of what holds every word of `query`.
 * @param {string[]} texts as {@link searchText} makes them @param {string} query
 */
export function matching(texts, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  /** @type {number[]} */
  const found = [];
  if (words.length) texts.forEach((text, index) => words.every((word) => text.includes(word)) && found.push(index));
  return found;
}

/**
 * `seen` moved and cut so that it lies within the trace.
 * @param {TimeWindow} seen @param {number} total
 * @returns {TimeWindow}
 */
export function within(seen, total) {
  const length = Math.min(total, Math.max(CLOSEST_S, seen.to - seen.from));
  const from = Math.min(Math.max(0, seen.from), Math.max(0, total - length));
  return { from, to: from + length };
}

/**
 * Nearer (`factor` below 1) or farther, with the moment `at` staying where it is.
 * @param {TimeWindow} seen @param {number} factor @param {number} at @param {number} total
 */
export function zoomed(seen, factor, at, total) {
  const length = Math.min(total, Math.max(CLOSEST_S, (seen.to - seen.from) * factor));
  const share = (at - seen.from) / (seen.to - seen.from || 1);
  const from = at - share * length;
  return within({ from, to: from + length }, total);
}

/** Moved by a share of its length. @param {TimeWindow} seen @param {number} share @param {number} total */
export function panned(seen, share, total) {
  const by = (seen.to - seen.from) * share;
  return within({ from: seen.from + by, to: seen.to + by }, total);
}

/** Around a span, with some air. @param {TraceSpan} span @param {number} total */
export function around(span, total) {
  const air = Math.max(span.duration_s * 0.1, CLOSEST_S);
  return within({ from: span.start_s - air, to: span.start_s + span.duration_s + air }, total);
}

/**
 * Round moments in the window, about `count` of them.
 * @param {TimeWindow} seen @param {number} count
 */
export function ticks(seen, count) {
  const rough = (seen.to - seen.from) / Math.max(1, count);
  if (!(rough > 0)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((one) => one * power >= rough) ?? 10);
  /** @type {number[]} */
  const found = [];
  for (let n = Math.ceil(seen.from / step - 1e-9); n * step <= seen.to + step * 1e-9; n++) found.push(n * step);
  return found;
}

/** A moment as an axis shows it, all of one axis in one unit. @param {number} s @param {number} length of the window */
export function moment(s, length) {
  const [unit, factor] = length < 2e-3 ? ["µs", 1e6] : length < 2 ? ["ms", 1e3] : ["s", 1];
  const digits = Math.max(0, Math.min(6, 1 - Math.floor(Math.log10((length * factor) / 10))));
  return `${Number((s * factor).toFixed(digits))} ${unit}`;
}
