/**
 * What is drawn of the figures: rows of the host's history to lines, areas and bars, as plotly takes them. Pure: knows
 * neither DOM nor plotly.
 *
 * @typedef {[t: number, calls: number, errors: number, input: number, output: number, p50: number, p90: number, p99: number]} MetricRow
 * @typedef {{ fg: string, faint: string, line: string, bg: string, series: string[], bad: string, font: string }} ChartColours
 * @typedef {{
 *   id: string, pipeline: string, status: string, started_at: number, duration_s: number | null, input_tokens: number,
 *   output_tokens: number, cost: number | null, retries: number, error: string,
 *   steps: { name: string, status: string, duration_s: number, input_tokens: number, output_tokens: number, cost: number | null, retries: number }[],
 * }} MetricRun
 * @typedef {{ title: string, unit: string, lines: { name: string, values: (number | null)[], colour: number, isArea?: boolean }[], isBars?: boolean, isStacked?: boolean }} MetricChart
 */

/**
 * The rows of the window, with one for every bucket: those in which nothing ended are zero, or null for a latency.
 * @param {MetricRow[]} rows oldest first @param {number} now @param {number} windowS @param {number} bucketS
 * @returns {MetricRow[]}
 */
export function filledRows(rows, now, windowS, bucketS) {
  const known = new Map(rows.map((row) => [Math.round(row[0] / bucketS), row]));
  const last = Math.floor(now / bucketS);
  // So many buckets are joined into one that a line has at most 240 points.
  const joined = Math.max(1, Math.ceil(windowS / bucketS / 240));
  const first = Math.floor((last - Math.floor(windowS / bucketS) + 1) / joined) * joined;
  /** @type {MetricRow[]} */
  const filled = [];
  for (let place = first; place <= last; place += joined) {
    const found = [];
    for (let n = place; n < place + joined; n++) if (known.has(n)) found.push(/** @type {MetricRow} */ (known.get(n)));
    filled.push(joinRows(place * bucketS, found));
  }
  return filled;
}

/** Several buckets as one: sums, and latencies by the number of calls; the slowest stays the slowest. @param {number} t @param {MetricRow[]} rows @returns {MetricRow} */
export function joinRows(t, rows) {
  const sum = (/** @type {number} */ column) => rows.reduce((total, row) => total + row[column], 0);
  const calls = sum(1);
  const mean = (/** @type {number} */ column) => (calls ? rows.reduce((total, row) => total + row[column] * row[1], 0) / calls : 0);
  return [t, calls, sum(2), sum(3), sum(4), mean(5), mean(6), Math.max(0, ...rows.map((row) => row[7]))];
}

/** How long a bucket of the filled rows is. @param {MetricRow[]} rows @param {number} bucketS */
const stepOf = (rows, bucketS) => (rows.length > 1 ? rows[1][0] - rows[0][0] : bucketS);

/**
 * The four charts of the window.
 * @param {MetricRow[]} rows as {@link filledRows} makes them @param {number} bucketS
 * @returns {Record<"latency" | "throughput" | "errors" | "tokens", MetricChart>}
 */
export function chartsOf(rows, bucketS) {
  const step = stepOf(rows, bucketS);
  const took = (/** @type {number} */ column) => rows.map((row) => (row[1] ? row[column] : null));
  const each = (/** @type {number} */ column) => rows.map((row) => row[column] / step);
  return {
    latency: {
      title: "Latency",
      unit: "s",
      lines: [
        { name: "p50", values: took(5), colour: 0 },
        { name: "p90", values: took(6), colour: 1 },
        { name: "p99", values: took(7), colour: 2 },
      ],
    },
    throughput: { title: "Throughput", unit: "calls/s", lines: [{ name: "calls", values: each(1), colour: 0, isArea: true }] },
    errors: { title: "Errors", unit: "calls", isBars: true, lines: [{ name: "errors", values: rows.map((row) => row[2]), colour: -1 }] },
    tokens: {
      title: "Tokens",
      unit: "tokens/s",
      isStacked: true,
      lines: [
        { name: "out", values: each(4), colour: 1, isArea: true },
        { name: "in", values: each(3), colour: 0, isArea: true },
      ],
    },
  };
}

/** What the window comes to. @param {MetricRow[]} rows */
export function totalsOf(rows) {
  const [, calls, errors, input, output, p50, p90, p99] = joinRows(0, rows);
  return { calls, errors, input, output, p50, p90, p99, errorRate: calls ? errors / calls : 0 };
}

/** @param {ChartColours} colours @param {number} number */
const colourAt = (colours, number) => (number < 0 ? colours.bad : colours.series[number % colours.series.length]);

/** Whether there is a value, and none beside it: a line would not show it. @param {(number | null)[]} values @param {number} at */
export const standsAlone = (values, at) => values[at] !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null;

/**
 * A chart as plotly takes it.
 * @param {MetricChart} chart @param {MetricRow[]} rows @param {ChartColours} colours
 */
export function plotlyChart(chart, rows, colours) {
  const x = rows.map((row) => new Date(row[0] * 1000));
  const data = chart.lines.map((line) => ({
    x,
    y: line.values,
    name: line.name,
    type: chart.isBars ? "bar" : "scatter",
    mode: chart.isBars ? undefined : line.isArea ? "lines" : "lines+markers",
    stackgroup: chart.isStacked ? "one" : undefined,
    fill: line.isArea && !chart.isStacked ? "tozeroy" : undefined,
    line: { color: colourAt(colours, line.colour), width: 1.6, shape: "linear" },
    marker: { color: colourAt(colours, line.colour), size: chart.isBars ? undefined : line.values.map((_, at) => (standsAlone(line.values, at) ? 5 : 0)) },
    connectgaps: false,
    hovertemplate: `%{y:${chart.unit === "s" ? ".3~s}s" : `,.3~r} ${chart.unit}`}<extra>${line.name}</extra>`,
  }));
  const layout = layoutOf(colours, { hasLegend: data.length > 1, isTime: true, isSeconds: chart.unit === "s" });
  const isFew = chart.isBars && Math.max(...chart.lines.flatMap((line) => line.values.map(Number))) <= 4;
  return { data, layout: isFew ? { ...layout, yaxis: { ...layout.yaxis, dtick: 1 } } : layout };
}

/** @param {ChartColours} colours @param {{ hasLegend: boolean, isTime: boolean, isSeconds: boolean }} options */
function layoutOf(colours, { hasLegend, isTime, isSeconds }) {
  const axis = { gridcolor: colours.line, linecolor: colours.line, zerolinecolor: colours.line, tickfont: { size: 10, color: colours.faint } };
  return {
    autosize: true,
    height: 150,
    margin: { l: 44, r: 8, t: hasLegend || isTime ? 20 : 8, b: 22 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: colours.font, size: 11, color: colours.fg },
    showlegend: hasLegend,
    legend: { orientation: "h", x: 1, y: 1, xanchor: "right", yanchor: "bottom", font: { size: 10, color: colours.faint }, bgcolor: "rgba(0,0,0,0)" },
    hovermode: "x unified",
    hoverlabel: { bgcolor: colours.bg, bordercolor: colours.line, font: { color: colours.fg, size: 11 } },
    xaxis: { ...axis, type: isTime ? "date" : "category", showgrid: false, fixedrange: true, tickformat: isTime ? "%H:%M" : undefined, nticks: 6 },
    yaxis: { ...axis, rangemode: "tozero", fixedrange: true, nticks: 4, tickformat: isSeconds ? "~s" : ",~r", ticksuffix: isSeconds ? "s" : "" },
    bargap: 0,
  };
}

/** Every step of the runs, in the order of the first that has it. @param {MetricRun[]} runs */
export const stepNames = (runs) => [...new Set(runs.flatMap((run) => run.steps.map((step) => step.name)))];

/** What tells runs apart in a legend. @param {MetricRun} run */
export const runName = (run) => `${run.pipeline} ${run.id.slice(0, 6)}`;

/**
 * Runs side by side, step by step, as plotly takes them.
 * @param {MetricRun[]} runs @param {"duration_s" | "output_tokens"} figure @param {ChartColours} colours
 */
export function comparison(runs, figure, colours) {
  const names = stepNames(runs);
  const data = runs.map((run, number) => ({
    type: "bar",
    name: runName(run),
    x: names,
    y: names.map((name) => run.steps.find((step) => step.name === name)?.[figure] ?? null),
    marker: { color: colourAt(colours, number) },
    hovertemplate: `%{y:${figure === "duration_s" ? ".3~s}s" : ",.3~r} tokens"}<extra>${runName(run)}</extra>`,
  }));
  const layout = { ...layoutOf(colours, { hasLegend: false, isTime: false, isSeconds: figure === "duration_s" }), barmode: "group", height: 160, bargap: 0.25 };
  return { data, layout };
}

/** How much more or less than in the first run: `+12 %`. @param {number | null} value @param {number | null} first */
export function difference(value, first) {
  if (!value || !first || value === first) return "";
  const percent = Math.round((100 * (value - first)) / first);
  return `${percent > 0 ? "+" : percent < 0 ? "−" : "±"}${Math.abs(percent)} %`;
}
