/**
 * The figures of all calls as they come: latency, throughput, errors, tokens; each operation; runs to compare. Knows the
 * DOM and plain data (see `metrics_state.py`), and nothing of widgets: it can stand in a cell or in a side panel. plotly
 * is asked for when the view is first seen.
 *
 * @typedef {import("./metric_charts.js").MetricRow} MetricRow
 * @typedef {import("./metric_charts.js").MetricRun} MetricRun
 * @typedef {import("./metric_charts.js").ChartColours} ChartColours
 * @typedef {import("./plotly_loader.js").PlotlyLike} PlotlyLike
 * @typedef {{
 *   op: string, pool: string, calls: number, errors: number, input_tokens: number, output_tokens: number,
 *   cost: number | null, p50_s: number, p90_s: number, p99_s: number,
 * }} MetricSeries
 * @typedef {{
 *   has_host: boolean, now: number, since: number | null, bucket_s: number, series: MetricSeries[],
 *   history: Record<string, MetricRow[]>, runs: MetricRun[], trouble: string, is_closed?: boolean,
 * }} MetricsState
 * @typedef {{ plotly(): Promise<PlotlyLike> }} MetricsActions
 */

import { cost, element, seconds, setText } from "./elements.js";
import { chartsOf, comparison, filledRows, plotlyChart, totalsOf } from "./metric_charts.js";
import { drawPlain } from "./plain_chart.js";
import { RunComparison } from "./run_comparison.js";
import { colourOf, onThemeChange } from "./theme.js";

/** @type {[text: string, seconds: number][]} */
const WINDOWS = [
  ["5 minutes", 300],
  ["15 minutes", 900],
  ["1 hour", 3600],
];
const CONFIG = { displayModeBar: false, responsive: true, scrollZoom: false };
/** @type {[title: string, kind: string][]} */
const SERIES_COLUMNS = [
  ["Operation", ""],
  ["Pool", "mv-wide"],
  ["Calls", "number"],
  ["Errors", "number"],
  ["p50", "number"],
  ["p90", "number mv-wide"],
  ["p99", "number"],
  ["Tokens in", "number mv-wide"],
  ["Tokens out", "number mv-wide"],
  ["Cost", "number mv-wide"],
];
const SERIES_COLOURS = 5;

/** A figure in few characters. @param {number} value */
export const shortNumber = (value) =>
  value >= 1e6 ? `${(value / 1e6).toFixed(1)} M` : value >= 1e4 ? `${(value / 1e3).toFixed(1)} k` : Math.round(value).toLocaleString("en");

export class MetricsView {
  /** What was compared last, and in which colours. */
  drawn = "";
  /** @type {ChartColours | null} */
  drawnIn = null;
  /** @type {HTMLSelectElement} */
  pool;
  /** @type {HTMLSelectElement} */
  span;
  /** @type {HTMLElement} */
  table;
  /** @type {HTMLElement} */
  rows;
  /** @type {MetricsState | null} */
  state = null;
  /** @type {PlotlyLike | null} */
  plotly = null;
  /** @type {ChartColours | null} */
  colours = null;
  isAsked = false;
  isSeen = true;
  /** @type {Map<string, { box: HTMLElement, node: HTMLElement }>} */
  charts = new Map();
  /** @type {MetricRun[]} */
  compared = [];

  /** @param {HTMLElement} el @param {MetricsActions} actions @param {AbortSignal} signal */
  constructor(el, actions, signal) {
    this.actions = actions;
    this.root = el.appendChild(element("section", "panel metrics"));
    this.root.setAttribute("aria-label", "Metrics");
    this.root.dataset.lmSuppressShortcuts = "true";
    this.makeHead(signal);
    this.notice = this.root.appendChild(element("div", "notice"));
    this.notice.setAttribute("role", "status");
    this.notice.hidden = true;
    this.empty = this.root.appendChild(element("div", "empty"));
    this.figures = this.root.appendChild(element("dl", "mv-figures"));
    this.grid = this.root.appendChild(element("div", "mv-grid"));
    for (const name of ["latency", "throughput", "errors", "tokens"]) this.makeChart(name);
    this.hint = this.root.appendChild(element("div", "mv-hint mv-missing"));
    this.makeTable();
    this.runs = new RunComparison((runs) => this.compare(runs), signal);
    this.root.append(this.runs.node);
    onThemeChange(() => ((this.colours = null), this.draw()), signal);
    const observer = new IntersectionObserver(([entry]) => {
      const wasSeen = this.isSeen;
      this.isSeen = entry.isIntersecting;
      if (this.isSeen && !wasSeen) this.draw();
    });
    observer.observe(this.root);
    signal.addEventListener("abort", () => (observer.disconnect(), this.purge()), { once: true });
  }

  /** @param {AbortSignal} signal */
  makeHead(signal) {
    const head = this.root.appendChild(element("header", "panel-head"));
    head.append(element("strong", "panel-title", "Metrics"));
    const tools = head.appendChild(element("div", "panel-tools"));
    const select = (/** @type {string} */ label) => {
      const made = /** @type {HTMLSelectElement} */ (tools.appendChild(element("select", "input")));
      made.setAttribute("aria-label", label);
      made.addEventListener("change", () => this.draw(), { signal });
      return made;
    };
    this.pool = select("Pool");
    this.pool.append(new Option("All pools", ""));
    this.span = select("Time");
    for (const [text, value] of WINDOWS) this.span.append(new Option(text, String(value)));
    this.span.value = "900";
  }

  /** @param {string} name */
  makeChart(name) {
    const node = this.grid.appendChild(element("figure", "mv-chart"));
    const title = node.appendChild(element("figcaption", "mv-caption"));
    const box = node.appendChild(element("div", "mv-plot"));
    box.setAttribute("role", "img");
    this.charts.set(name, { box, node: title });
  }

  makeTable() {
    this.table = this.root.appendChild(element("section", "mv-series"));
    this.table.setAttribute("aria-label", "Operations");
    this.table.append(element("h3", "mv-title", "Operations"));
    const table = this.table.appendChild(element("table", "mv-table"));
    table.setAttribute("aria-label", "Operations since the host began");
    const head = table.appendChild(element("thead")).appendChild(element("tr"));
    for (const [title, kind] of SERIES_COLUMNS) head.appendChild(element("th", kind, title)).setAttribute("scope", "col");
    this.rows = table.appendChild(element("tbody"));
  }

  /** @param {number} silent seconds without news, 0 when there is some */
  stale(silent) {
    this.root.classList.toggle("dspex-stale", silent > 0);
    this.say(silent ? `No news for ${silent} s: the kernel is busy, or gone.` : (this.state?.trouble ?? ""));
  }

  /** @param {string} text */
  say(text) {
    setText(this.notice, text);
    this.notice.hidden = !text;
  }

  /** @param {MetricsState} state */
  set(state) {
    if (!state.series) return;
    this.state = state;
    const names = Object.keys(state.history).filter(Boolean).sort();
    const options = [...this.pool.options].slice(1).map((option) => option.value);
    if (names.join("\n") !== options.join("\n")) {
      const { value } = this.pool;
      this.pool.replaceChildren(new Option("All pools", ""), ...names.map((name) => new Option(name, name)));
      this.pool.value = names.includes(value) ? value : "";
    }
    this.say(state.trouble);
    const hasCalls = state.series.length > 0;
    setText(this.empty, state.has_host ? "No call has ended yet." : "No pool host runs. The first call starts one.");
    this.empty.hidden = hasCalls || Boolean(state.trouble);
    for (const part of [this.figures, this.grid, this.table]) /** @type {HTMLElement} */ (part).hidden = !hasCalls;
    this.draw();
  }

  /** Draw what is seen of the state. */
  draw() {
    const { state } = this;
    if (!state || !this.isSeen) return;
    if (!this.isAsked) this.fetchPlotly();
    const rows = filledRows(state.history[this.pool.value] ?? [], state.now, Number(this.span.value), state.bucket_s);
    if (state.series.length) {
      this.setFigures(rows);
      this.setCharts(rows);
      this.setTable();
    }
    this.runs.set(state.runs);
  }

  fetchPlotly() {
    if (!this.state || (!this.state.series.length && !this.state.runs.length)) return;
    this.isAsked = true;
    this.actions.plotly().then(
      (plotly) => {
        this.plotly = plotly;
        this.draw();
      },
      (error) => {
        setText(this.hint, [error.message, error.hint].filter(Boolean).join(" "));
        this.draw();
      },
    );
  }

  /** @param {MetricRow[]} rows */
  setFigures(rows) {
    const total = totalsOf(rows);
    /** @type {[string, string][]} */
    const facts = [
      ["Calls", shortNumber(total.calls)],
      ["Errors", total.calls ? `${shortNumber(total.errors)} · ${(100 * total.errorRate).toFixed(1)} %` : "0"],
      ["Typical (p50)", total.calls ? seconds(total.p50) : "–"],
      ["Slow (p90)", total.calls ? seconds(total.p90) : "–"],
      ["Slowest (p99)", total.calls ? seconds(total.p99) : "–"],
      ["Tokens in", shortNumber(total.input)],
      ["Tokens out", shortNumber(total.output)],
    ];
    while (this.figures.children.length < facts.length) {
      const node = this.figures.appendChild(element("div", "mv-fact"));
      node.append(element("dt"), element("dd"));
    }
    facts.forEach(([title, text], place) => {
      const { firstElementChild, lastElementChild } = this.figures.children[place];
      setText(/** @type {Element} */ (firstElementChild), title);
      setText(/** @type {Element} */ (lastElementChild), text);
    });
  }

  /** @param {MetricRow[]} rows */
  setCharts(rows) {
    const charts = chartsOf(rows, this.state?.bucket_s ?? 5);
    for (const [name, { box, node }] of this.charts) {
      const chart = charts[/** @type {keyof typeof charts} */ (name)];
      setText(node, `${chart.title}, ${chart.unit}`);
      const most = Math.max(0, ...chart.lines.flatMap((line) => line.values.map((value) => value ?? 0)));
      const highest = chart.unit === "s" ? seconds(most) : `${shortNumber(most)} ${chart.unit}`;
      box.setAttribute("aria-label", `${chart.title} over ${this.span.selectedOptions[0]?.text}: at most ${highest}`);
      if (this.plotly) {
        box.querySelector(".dspex-mv-plain")?.remove();
        const { data, layout } = plotlyChart(chart, rows, this.theme());
        this.plotly.react(box, data, layout, CONFIG);
      } else drawPlain(box, chart);
    }
  }

  setTable() {
    const series = [...(this.state?.series ?? [])].sort((one, other) => other.calls - one.calls);
    const pool = this.pool.value;
    const shown = series.filter((one) => !pool || one.pool === pool);
    while (this.rows.children.length > shown.length) this.rows.lastElementChild?.remove();
    shown.forEach((one, place) => {
      const texts = [
        one.op,
        one.pool,
        one.calls.toLocaleString("en"),
        one.errors.toLocaleString("en"),
        seconds(one.p50_s),
        seconds(one.p90_s),
        seconds(one.p99_s),
        one.input_tokens.toLocaleString("en"),
        one.output_tokens.toLocaleString("en"),
        cost(one.cost),
      ];
      let row = this.rows.children[place];
      if (!row) {
        row = this.rows.appendChild(element("tr"));
        SERIES_COLUMNS.forEach(([, kind], column) => {
          const cell = row.appendChild(element(column ? "td" : "th", kind));
          if (!column) cell.setAttribute("scope", "row");
        });
      }
      texts.forEach((text, column) => setText(row.children[column], text));
    });
  }

  /** @param {MetricRun[]} runs */
  compare(runs) {
    const names = runs.map((run) => `${run.id} ${run.steps.length} ${run.duration_s}`).join("\n");
    const { chart } = this.runs;
    if (!this.plotly) {
      chart.hidden = true;
      return;
    }
    const theme = this.theme();
    if (names === this.drawn && theme === this.drawnIn && chart.children.length) return;
    this.drawn = names;
    this.drawnIn = theme;
    const { data, layout } = comparison(runs, "duration_s", theme);
    this.plotly.react(chart, data, layout, CONFIG);
  }

  /** @returns {ChartColours} */
  theme() {
    this.colours ??= {
      fg: colourOf(this.root, "var(--fg)"),
      faint: colourOf(this.root, "var(--faint)"),
      line: colourOf(this.root, "var(--line)"),
      bg: colourOf(this.root, "var(--paper)"),
      bad: colourOf(this.root, "var(--bad)"),
      series: Array.from({ length: SERIES_COLOURS }, (_, number) => colourOf(this.root, `var(--series-${number})`)),
      font: getComputedStyle(this.root).fontFamily,
    };
    return this.colours;
  }

  purge() {
    for (const box of [...[...this.charts.values()].map((chart) => chart.box), this.runs.chart]) this.plotly?.purge(box);
  }
}
