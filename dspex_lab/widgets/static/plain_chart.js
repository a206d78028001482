/**
 * A chart without plotly: lines in a box, the highest value beside them. Shown until plotly is here, and where it is not
 * installed. Knows the DOM and `metric_charts.js`.
 *
 * @typedef {import("./metric_charts.js").MetricChart} MetricChart
 */

const CHART_SVG = "http://www.w3.org/2000/svg";

/** The line's pieces; a gap parts them. @param {(number | null)[]} values @param {number} top */
export function pieces(values, top) {
  let path = "";
  let isOpen = false;
  values.forEach((value, place) => {
    if (value === null) {
      isOpen = false;
      return;
    }
    const x = values.length > 1 ? (100 * place) / (values.length - 1) : 50;
    path += `${isOpen ? "L" : "M"}${x.toFixed(2)} ${(40 - (39 * value) / top).toFixed(2)}`;
    if (!isOpen && (place + 1 >= values.length || values[place + 1] === null)) path += "h.6";
    isOpen = true;
  });
  return path;
}

/** The top of the chart: the highest value, or of stacked ones their highest sum. @param {MetricChart} chart */
export const topOf = (chart) => Math.max(1e-9, ...chart.lines.flatMap((line) => line.values.map((value) => value ?? 0)));

/** @param {HTMLElement} box @param {MetricChart} chart */
export function drawPlain(box, chart) {
  const svg = document.createElementNS(CHART_SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "dspex-mv-plain");
  const top = topOf(chart);
  for (const line of [...chart.lines].reverse()) {
    const path = svg.appendChild(document.createElementNS(CHART_SVG, "path"));
    path.setAttribute("class", `dspex-mv-line-${line.colour < 0 ? "bad" : line.colour}`);
    path.setAttribute("d", pieces(line.values, top));
  }
  box.replaceChildren(svg);
}
