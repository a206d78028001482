/**
 * A pipeline's graph with the state of each step, as it changes. Boxes stand where Python put them (`graph_state.py`).
 * Arrows go from step to step, Enter goes to the step's row.
 *
 * @typedef {import("./run_view.js").Step} Step
 * @typedef {{
 *   name: string, kind: string, lines: string[], x: number, y: number, width: number, height: number, depth: number,
 *   has_inside: boolean, is_optional: boolean,
 * }} Box
 * @typedef {{ depth: number, from: string, to: string, fields: string[], x1: number, y1: number, x2: number, y2: number }} Flow
 * @typedef {{ width?: number, height?: number, boxes?: Box[], flows?: Flow[] }} Graph
 */

import { element, newId, seconds, ticking } from "./elements.js";

const XMLNS = "http://www.w3.org/2000/svg";
const GRAPH_PAD = 10;
const GRAPH_LINE = 16;
const GRAPH_TITLE = 30;
const SIGN_ROOM = 20;
/** A graph that is taller is folded at first. */
const TALL = 280;
/** @type {Record<string, string>} */
const SIGNS = { pending: "○", running: "▶", waiting: "?", succeeded: "✓", failed: "✕", cancelled: "■", skipped: "–", kept: "✓" };

/**
 * @param {string} tag @param {Record<string, string | number>} attributes @param {string} [text]
 */
function shape(tag, attributes, text) {
  const made = /** @type {SVGElement} */ (document.createElementNS(XMLNS, tag));
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (text !== undefined) made.textContent = text;
  return made;
}

/** One step's box. */
class BoxView {
  /** @param {Box} box @param {(name: string) => void} onGo @param {AbortSignal} signal */
  constructor(box, onGo, signal) {
    this.box = box;
    const { x, y, width, height } = box;
    const isStep = Boolean(box.name);
    this.node = shape("g", isStep ? { role: "button", tabindex: "-1", "aria-label": box.name } : {});
    this.node.setAttribute("class", `dspex-box${box.has_inside ? " dspex-group" : ""}${isStep ? "" : " dspex-source"}`);
    if (box.kind === "each") this.node.append(shape("rect", { class: "dspex-under", x: x + 4, y: y + 4, width, height, rx: 8 }));
    const round = isStep ? (box.has_inside ? 8 : 6) : height / 2;
    this.node.append(shape("rect", { class: "dspex-frame", x, y, width, height, rx: round, ...(box.is_optional ? { "stroke-dasharray": "4 3" } : {}) }));
    const middle = box.has_inside ? y + GRAPH_TITLE * 0.66 : y + GRAPH_PAD + GRAPH_LINE * 0.68;
    this.sign = this.node.appendChild(shape("text", { class: "dspex-sign", x: x + GRAPH_PAD, y: middle }));
    const left = x + GRAPH_PAD + (isStep ? SIGN_ROOM : 3);
    const first = shape("text", { class: "dspex-box-name", x: left, y: isStep ? middle : y + GRAPH_LINE + 1 }, box.lines[0] ?? "");
    this.node.append(first);
    if (box.has_inside) first.append(shape("tspan", { class: "dspex-box-about" }, `  ${box.lines[1] ?? ""}`));
    else box.lines.slice(1).forEach((line, index) => this.node.append(this.line(line, index + 1)));
    this.figures = box.has_inside || !isStep ? null : this.node.appendChild(this.line("", Math.max(2, box.lines.length)));
    if (!isStep) return;
    this.node.addEventListener("click", () => onGo(box.name), { signal });
  }

  /** @param {string} text @param {number} index */
  line(text, index) {
    const y = this.box.y + GRAPH_PAD + GRAPH_LINE * (index + 0.68);
    return shape("text", { class: "dspex-box-about", x: this.box.x + GRAPH_PAD, y }, text);
  }

  /** @param {Step} step @param {number | null} took */
  set(step, took) {
    const isKept = step.notes.includes("kept") || step.notes.includes("cached");
    const isRunning = step.status === "running" || step.status === "waiting";
    const isPlain = step.status === "succeeded" || step.status === "running";
    const words = [isKept ? step.notes[0] : isPlain ? "" : step.status];
    if (took !== null && !isKept && step.status !== "skipped") words.push(isRunning ? ticking(took) : seconds(took));
    if (step.tokens && (isPlain || isRunning)) words.push(`${step.tokens.toLocaleString("en")} tok`);
    const told = words.filter(Boolean).join(" · ");
    const name = `dspex-box dspex-is-${step.status}${this.box.has_inside ? " dspex-group" : ""}${isKept ? " dspex-is-kept" : ""}`;
    if (this.node.getAttribute("class") !== name) this.node.setAttribute("class", name);
    this.sign.textContent = SIGNS[step.status] ?? "";
    if (this.figures && this.figures.textContent !== told) this.figures.textContent = told;
    const label = `${step.name}, ${step.kind}: ${step.status}${isKept ? ", kept" : ""}. Go to its row.`;
    if (this.node.getAttribute("aria-label") !== label) this.node.setAttribute("aria-label", label);
  }
}

export class GraphView {
  /** @type {Map<string, BoxView>} */
  boxes = new Map();

  /** @param {Graph} graph @param {(step: string) => void} onGo @param {AbortSignal} signal */
  constructor(graph, onGo, signal) {
    this.node = /** @type {HTMLDetailsElement} */ (element("details", "graph"));
    const { boxes = [], flows = [], width = 0, height = 0 } = graph;
    this.node.hidden = !boxes.length;
    this.node.open = height <= TALL;
    this.node.append(element("summary", "faint", "Graph"));
    const frame = this.node.appendChild(element("div", "graph-frame"));
    const picture = frame.appendChild(
      shape("svg", { viewBox: `0 0 ${width} ${height}`, width, style: `--least: ${0.7 * width}px`, role: "group", "aria-label": "The pipeline's steps" }),
    );
    const arrow = newId("arrow");
    const defs = picture.appendChild(shape("defs", {}));
    const head = shape("marker", { id: arrow, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" });
    head.append(shape("path", { class: "dspex-arrow", d: "M0,0.8 L7,4 L0,7.2 Z" }));
    defs.append(head);
    // Behind the boxes, but those between what stands inside one of them.
    for (const flow of flows) if (!flow.depth) picture.append(curve(flow, arrow));
    for (const box of boxes) {
      const view = new BoxView(box, onGo, signal);
      if (box.name) this.boxes.set(box.name, view);
      picture.append(view.node);
    }
    for (const flow of flows) if (flow.depth) picture.append(curve(flow, arrow));
    this.order = [...this.boxes.keys()];
    this.boxes.get(this.order[0] ?? "")?.node.setAttribute("tabindex", "0");
    picture.addEventListener("keydown", (event) => this.onKey(/** @type {KeyboardEvent} */ (event), onGo), { signal });
  }

  /** @param {KeyboardEvent} event @param {(step: string) => void} onGo */
  onKey(event, onGo) {
    const at = this.order.findIndex((name) => this.boxes.get(name)?.node === event.target);
    if (at < 0) return;
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const next = event.key === "Home" ? 0 : event.key === "End" ? this.order.length - 1 : steps ? at + steps : null;
    if (event.key === "Enter" || event.key === " ") onGo(this.order[at] ?? "");
    else if (next === null) return;
    else if (next >= 0 && next < this.order.length) this.focus(at, next);
    event.preventDefault();
    event.stopPropagation();
  }

  /** Only one box stands in the way of Tab. @param {number} from @param {number} to */
  focus(from, to) {
    this.boxes.get(this.order[from] ?? "")?.node.setAttribute("tabindex", "-1");
    const node = this.boxes.get(this.order[to] ?? "")?.node;
    node?.setAttribute("tabindex", "0");
    node?.focus();
  }

  /** @param {Step} step @param {number | null} took */
  set(step, took) {
    if (this.node.open) this.boxes.get(step.name)?.set(step, took);
  }
}

/** @param {Flow} flow @param {string} arrow */
function curve({ x1, y1, x2, y2, fields }, arrow) {
  const bend = Math.min(60, (x2 - x1) / 2);
  const d = `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`;
  const path = shape("path", { class: "dspex-flow", d, "marker-end": `url(#${arrow})` });
  path.append(shape("title", {}, fields.join(", ")));
  return path;
}
