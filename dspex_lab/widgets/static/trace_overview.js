/**
 * The whole trace in a strip, with the part that is seen, and the axis below it. Drawn as SVG, so that its colours are
 * the style sheet's, in every theme.
 *
 * @typedef {import("./trace_rows.js").TraceNode} TraceNode
 * @typedef {import("./trace_rows.js").TimeWindow} TimeWindow
 */

import { element, setText } from "./elements.js";
import { moment, ticks } from "./trace_rows.js";

const SVG_NS = "http://www.w3.org/2000/svg";
/** The strip is drawn on so many columns and lanes; deeper spans share the last lane. */
const COLUMNS = 800;
const LANES = 10;

/**
 * The strip as one path for each kind: where spans of one kind touch, they are one piece.
 * @param {TraceNode[]} nodes @param {number} total
 * @returns {Map<string, string>}
 */
export function strips(nodes, total) {
  /** @type {string[][]} */
  const lanes = Array.from({ length: LANES }, () => new Array(COLUMNS).fill(""));
  for (const { span, depth } of nodes) {
    const lane = lanes[Math.min(depth, LANES - 1)];
    const from = Math.min(COLUMNS - 1, Math.floor((COLUMNS * span.start_s) / (total || 1)));
    const to = Math.min(COLUMNS, Math.max(from + 1, Math.ceil((COLUMNS * (span.start_s + span.duration_s)) / (total || 1))));
    lane.fill(span.status === "error" ? "error" : span.kind, from, to);
  }
  /** @type {Map<string, string>} */
  const paths = new Map();
  lanes.forEach((lane, y) => {
    for (let x = 0; x < COLUMNS; ) {
      const kind = lane[x];
      const from = x;
      while (x < COLUMNS && lane[x] === kind) x++;
      if (kind) paths.set(kind, `${paths.get(kind) ?? ""}M${from} ${y}h${x - from}v.8h${from - x}z`);
    }
  });
  return paths;
}

export class TraceOverview {
  constructor() {
    this.node = element("div", "tv-overview");
    this.node.setAttribute("aria-hidden", "true");
    this.node.title = "Drag to look closer; drag what is marked to move it";
    this.svg = this.node.appendChild(document.createElementNS(SVG_NS, "svg"));
    this.svg.setAttribute("viewBox", `0 0 ${COLUMNS} ${LANES}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.before = this.node.appendChild(element("div", "tv-veil"));
    this.after = this.node.appendChild(element("div", "tv-veil"));
    this.axis = element("div", "tv-axis");
    this.axis.setAttribute("aria-hidden", "true");
    this.axis.append(element("div", "tv-axis-name"));
    this.scale = this.axis.appendChild(element("div", "tv-scale"));
  }

  /** @param {TraceNode[]} nodes @param {number} total */
  set(nodes, total) {
    const depth = Math.min(LANES, 1 + nodes.reduce((most, node) => Math.max(most, node.depth), 0));
    this.svg.setAttribute("viewBox", `0 0 ${COLUMNS} ${Math.max(3, depth)}`);
    this.svg.replaceChildren(
      ...[...strips(nodes, total)].map(([kind, d]) => {
        const path = document.createElementNS(SVG_NS, "path");
        path.setAttribute("class", `dspex-kind-${kind}`);
        path.setAttribute("d", d);
        return path;
      }),
    );
  }

  /** @param {TimeWindow} seen @param {number} total */
  zoom(seen, total) {
    const share = (/** @type {number} */ s) => (total > 0 ? (100 * s) / total : 0);
    this.before.style.width = `${share(seen.from)}%`;
    this.after.style.width = `${Math.max(0, 100 - share(seen.to))}%`;
    const length = seen.to - seen.from;
    const marks = ticks(seen, Math.max(3, Math.min(8, Math.floor((this.scale.clientWidth || 400) / 80))));
    while (this.scale.children.length > marks.length) this.scale.lastElementChild?.remove();
    marks.forEach((at, index) => {
      const mark = /** @type {HTMLElement} */ (this.scale.children[index] ?? this.scale.appendChild(element("span", "tv-tick")));
      const place = length > 0 ? (100 * (at - seen.from)) / length : 0;
      mark.style.left = `${place}%`;
      mark.classList.toggle("dspex-tv-tick-last", place > 88);
      setText(mark, moment(at, length));
    });
  }
}
