/**
 * The latest runs in a table, and those that are ticked side by side. Knows the DOM and plain data (see
 * `metrics_state.py`); draws by what it is given.
 *
 * @typedef {import("./metric_charts.js").MetricRun} MetricRun
 */

import { cost, element, seconds, setText } from "./elements.js";
import { difference } from "./metric_charts.js";

/** More nobody tells apart. */
const MAX_COMPARED = 5;
/** @type {[title: string, kind: string][]} */
const RUN_COLUMNS = [
  ["", "mv-tick"],
  ["Run", ""],
  ["State", ""],
  ["Started", "mv-wide"],
  ["Duration", "number"],
  ["Tokens", "number mv-mid"],
  ["Cost", "number mv-wide"],
];

/**
 * Which runs are compared before anybody chose: the newest, and the newest before it of the same pipeline.
 * @param {MetricRun[]} runs newest first
 */
export function firstChoice(runs) {
  if (!runs.length) return [];
  const same = runs.filter((run) => run.pipeline === runs[0].pipeline);
  return same.slice(0, 2).map((run) => run.id);
}

export class RunComparison {
  /** @type {MetricRun[]} */
  runs = [];
  /** @type {Set<string> | null} */
  chosen = null;

  /** @param {(runs: MetricRun[]) => void} draw @param {AbortSignal} signal */
  constructor(draw, signal) {
    this.draw = draw;
    this.node = element("section", "mv-runs");
    this.node.setAttribute("aria-label", "Compare runs");
    this.node.append(element("h3", "mv-title", "Runs"));
    this.hint = this.node.appendChild(element("div", "mv-hint"));
    this.chart = this.node.appendChild(element("div", "mv-compared"));
    this.chart.setAttribute("role", "img");
    const table = this.node.appendChild(element("table", "mv-table"));
    table.setAttribute("aria-label", "Latest runs");
    const head = table.appendChild(element("thead")).appendChild(element("tr"));
    for (const [title, kind] of RUN_COLUMNS) {
      const cell = head.appendChild(element(title ? "th" : "td", kind, title));
      if (title) cell.setAttribute("scope", "col");
    }
    this.rows = table.appendChild(element("tbody"));
    this.rows.addEventListener("change", (event) => this.onTick(event), { signal });
  }

  /** The runs that are compared, in the order of the table. */
  get compared() {
    const chosen = this.chosen ?? new Set(firstChoice(this.runs));
    return this.runs.filter((run) => chosen.has(run.id));
  }

  /** @param {Event} event */
  onTick(event) {
    const box = /** @type {HTMLInputElement} */ (event.target);
    const chosen = new Set(this.compared.map((run) => run.id));
    if (box.checked) chosen.add(box.value);
    else chosen.delete(box.value);
    this.chosen = chosen;
    this.show();
  }

  /** @param {MetricRun[]} runs newest first */
  set(runs) {
    this.runs = runs;
    this.node.hidden = !runs.length;
    this.show();
  }

  show() {
    const { compared } = this;
    const isFull = compared.length >= MAX_COMPARED;
    const ids = compared.map((run) => run.id);
    const known = new Map([...this.rows.children].map((node) => [/** @type {HTMLElement} */ (node).dataset.run, node]));
    const rows = this.runs.map((run) => {
      const row = /** @type {HTMLElement} */ (known.get(run.id) ?? this.newRow(run));
      this.fillRow(row, run, ids.indexOf(run.id), compared[0], isFull);
      return row;
    });
    rows.forEach((row, place) => {
      if (this.rows.children[place] !== row) this.rows.insertBefore(row, this.rows.children[place] ?? null);
    });
    while (this.rows.children.length > rows.length) this.rows.lastElementChild?.remove();
    setText(this.hint, compared.length ? "Seconds by step; differences are to the first that is ticked." : "Tick runs to compare them.");
    this.chart.hidden = !compared.length;
    const about = compared.map((run) => `${run.pipeline} ${run.id.slice(0, 6)} took ${seconds(run.duration_s)}`);
    this.chart.setAttribute("aria-label", `Seconds by step: ${about.join(", ")}`);
    if (compared.length) this.draw(compared);
  }

  /** @param {MetricRun} run */
  newRow(run) {
    const row = element("tr");
    row.dataset.run = run.id;
    const tick = row.appendChild(element("td", "mv-tick"));
    const box = /** @type {HTMLInputElement} */ (tick.appendChild(element("input", "mv-box")));
    box.type = "checkbox";
    box.value = run.id;
    box.setAttribute("aria-label", `Compare ${run.pipeline} ${run.id.slice(0, 6)}`);
    const name = row.appendChild(element("th", "mv-run"));
    name.setAttribute("scope", "row");
    name.append(element("span", "mv-swatch"), element("span", "", run.pipeline), element("span", "mv-id", run.id.slice(0, 6)));
    for (const [, kind] of RUN_COLUMNS.slice(2)) row.append(element("td", kind));
    return row;
  }

  /** @param {HTMLElement} row @param {MetricRun} run @param {number} place among the compared, or -1 @param {MetricRun | undefined} first @param {boolean} isFull */
  fillRow(row, run, place, first, isFull) {
    const box = /** @type {HTMLInputElement} */ (row.querySelector("input"));
    box.checked = place >= 0;
    box.disabled = isFull && place < 0;
    const swatch = /** @type {HTMLElement} */ (row.querySelector(".dspex-mv-swatch"));
    swatch.style.background = place < 0 ? "transparent" : `var(--series-${place})`;
    const isOther = place > 0;
    const tokens = run.input_tokens + run.output_tokens;
    const than = (/** @type {number | null} */ value, /** @type {number | null | undefined} */ base) => (isOther ? difference(value, base ?? null) : "");
    const texts = [
      [run.status, ""],
      [new Date(run.started_at * 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }), ""],
      [seconds(run.duration_s), than(run.duration_s, first?.duration_s)],
      [tokens ? tokens.toLocaleString("en") : "", than(tokens, first && first.input_tokens + first.output_tokens)],
      [cost(run.cost), than(run.cost, first?.cost)],
    ];
    texts.forEach(([text, more], number) => {
      const cell = row.children[number + 2];
      if (!cell.children.length) cell.append(element("span", "mv-difference"), element("span"));
      setText(/** @type {Element} */ (cell.firstElementChild), more);
      setText(/** @type {Element} */ (cell.lastElementChild), text);
    });
    row.children[2].className = `dspex-mv-state-${run.status}`;
    row.title = run.error;
  }
}
