/**
 * One pool: its workers at a glance, its queue and figures, its size, and a table of the workers. Knows the DOM and plain
 * data (see `pools_state.py`).
 *
 * @typedef {{
 *   id: string, state: string, pid: number | null, in_flight: number, calls_done: number, rss_bytes: number,
 *   cpu_s: number, cpu_percent: number | null, gpu_memory_bytes: number | null,
 * }} PoolWorker
 * @typedef {{ memory_bytes: number, used_bytes: number, busy_percent: number | null }} PoolGpu
 * @typedef {{
 *   name: string, size: number, queued: number, in_flight: number, submitted: number, succeeded: number, failed: number,
 *   cancelled: number, lost_workers: number, trouble: string | null, device: string, sessions: number,
 *   sessions_waiting: number, rss_bytes: number, max_memory_bytes: number | null, cpu_percent: number | null,
 *   gpu: PoolGpu | null, gpu_memory_bytes: number | null, workers: PoolWorker[],
 * }} Pool
 * @typedef {{
 *   resize(pool: string, size: number): Promise<any>, restart(pool: string): Promise<any>,
 *   start(pool: string | null): Promise<any>, stopHost(): Promise<any>, logs(): Promise<any>,
 * }} PoolActions
 */

import { element, setText } from "./elements.js";

const MB = 1024 * 1024;
/** Readings in the small chart: about two minutes. */
const HISTORY = 120;

/** @param {number} count */
export const countText = (count) => count.toLocaleString("en");

/** `412 MB`, `1.2 GB` @param {number | null} bytes */
export function memoryText(bytes) {
  if (bytes === null) return "";
  return bytes < 1000 * MB ? `${Math.round(bytes / MB)} MB` : `${(bytes / (1024 * MB)).toFixed(1)} GB`;
}

/** `12.3 GB of 80.0 GB · 43 % busy` @param {PoolGpu} gpu all devices together */
export function gpuText(gpu) {
  const memory = `${memoryText(gpu.used_bytes)} of ${memoryText(gpu.memory_bytes)}`;
  return gpu.busy_percent === null ? memory : `${memory} · ${Math.round(gpu.busy_percent)} % busy`;
}

/**
 * A shape for each place that a pool has: a worker's state, or that there is none.
 * @param {Pool} pool
 * @returns {string[]}
 */
export const placesOf = (pool) => [
  ...pool.workers.map((worker) => worker.state.replace(" ", "-")),
  ...new Array(Math.max(0, pool.size - pool.workers.length)).fill("none"),
];

/** `3 busy, 2 ready, 3 not started` @param {string[]} places */
export function placesText(places) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const place of places) counts.set(place, (counts.get(place) ?? 0) + 1);
  return [...counts].map(([place, n]) => `${n} ${place === "none" ? "not started" : place.replace("-", " ")}`).join(", ");
}

/** A line through `values` in a box of 100 by 20; "" while it would be a dot. @param {number[]} values */
export function linePath(values) {
  if (values.length < 4) return "";
  const top = Math.max(1e-9, ...values);
  const x = (/** @type {number} */ place) => (100 - (100 * (values.length - 1 - place)) / (HISTORY - 1)).toFixed(1);
  return `M${values.map((value, place) => `${x(place)} ${(19 - (18 * value) / top).toFixed(1)}`).join("L")}`;
}

const COLUMNS_OF_WORKERS = ["Worker", "State", "Calls", "Done", "Memory", "CPU", "Process"];
const CLASSES_OF_COLUMNS = ["", "", "number pv-wide", "number pv-wide", "number", "number", "number pv-wide"];

export class PoolCard {
  /** @type {HTMLElement} */
  device;
  /** @type {HTMLButtonElement} */
  start;
  /** @type {HTMLButtonElement} */
  restart;
  /** @type {HTMLButtonElement} */
  less;
  /** @type {HTMLElement} */
  size;
  /** @type {HTMLButtonElement} */
  more;
  /** @type {Pool | null} */
  pool = null;
  /** @type {number[]} */
  load = [];
  /** @type {{ size: number, left: number } | undefined} */
  asked;

  /** @param {string} name @param {PoolActions} actions @param {(worker: string) => void} showLog @param {AbortSignal} signal */
  constructor(name, actions, showLog, signal) {
    this.actions = actions;
    this.node = element("section", "pv-card");
    this.node.setAttribute("aria-label", `Pool ${name}`);
    this.makeHead(name, signal);
    this.trouble = this.node.appendChild(element("div", "notice bad"));
    this.failure = this.node.appendChild(element("div", "notice bad"));
    this.failure.setAttribute("role", "alert");
    this.failure.hidden = true;
    const glance = this.node.appendChild(element("div", "pv-glance"));
    this.places = glance.appendChild(element("div", "pv-places"));
    this.places.setAttribute("role", "img");
    this.asleep = glance.appendChild(element("span", "pv-asleep"));
    const chart = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    chart.setAttribute("viewBox", "0 0 100 20");
    chart.setAttribute("preserveAspectRatio", "none");
    chart.setAttribute("class", "dspex-pv-chart");
    chart.setAttribute("aria-hidden", "true");
    this.line = chart.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path"));
    glance.append(chart);
    this.facts = this.node.appendChild(element("dl", "pv-facts"));
    this.folded = /** @type {HTMLDetailsElement} */ (this.node.appendChild(element("details", "pv-workers")));
    this.summary = this.folded.appendChild(element("summary", "", "Workers"));
    const table = this.folded.appendChild(element("table", "pv-table"));
    table.setAttribute("aria-label", `Workers of ${name}`);
    const head = table.appendChild(element("thead")).appendChild(element("tr"));
    COLUMNS_OF_WORKERS.forEach((title, place) => {
      const cell = head.appendChild(element("th", CLASSES_OF_COLUMNS[place], title));
      cell.setAttribute("scope", "col");
    });
    this.rows = table.appendChild(element("tbody"));
    this.rows.addEventListener(
      "click",
      (event) => {
        const button = event.target instanceof Element ? event.target.closest("button") : null;
        if (button) showLog(button.textContent ?? "");
      },
      { signal },
    );
  }

  /** @param {string} name @param {AbortSignal} signal */
  makeHead(name, signal) {
    const head = this.node.appendChild(element("header", "pv-head"));
    head.append(element("h3", "pv-name", name));
    this.device = head.appendChild(element("span", "pv-device"));
    const tools = head.appendChild(element("div", "panel-tools"));
    const button = (/** @type {string} */ text, /** @type {string} */ label, /** @type {() => void} */ action, kind = "") => {
      const made = /** @type {HTMLButtonElement} */ (tools.appendChild(element("button", `button ${kind}`, text)));
      made.type = "button";
      made.setAttribute("aria-label", label);
      made.addEventListener("click", action, { signal });
      return made;
    };
    this.start = button("Start", `Start workers of ${name}`, () => this.order(this.actions.start(name)));
    this.restart = button("Restart", `Restart the workers of ${name}`, () => this.order(this.actions.restart(name)));
    this.restart.title = "Replace each worker when it has finished its calls";
    this.less = button("−", `One worker less for ${name}`, () => this.resize(-1), "icon-button");
    this.size = tools.appendChild(element("span", "pv-size"));
    this.size.title = "How many workers the pool may have";
    this.more = button("+", `One worker more for ${name}`, () => this.resize(1), "icon-button");
  }

  /** @param {number} by */
  resize(by) {
    if (!this.pool) return;
    const size = Math.max(1, this.wanted() + by);
    this.asked = { size, left: 3 };
    this.showSize();
    this.order(this.actions.resize(this.pool.name, size));
  }

  /** The size that was asked for last, until news of it could come, or the one there is. */
  wanted() {
    return this.asked?.size ?? this.pool?.size ?? 1;
  }

  showSize() {
    setText(this.size, `size ${this.wanted()}`);
    this.less.disabled = this.wanted() <= 1;
  }

  /** Say what came of an order. @param {Promise<any>} promise */
  async order(promise) {
    this.node.setAttribute("aria-busy", "true");
    try {
      await promise;
      this.failure.hidden = true;
    } catch (error) {
      const { message, hint } = /** @type {Error & { hint?: string }} */ (error);
      setText(this.failure, [message, hint].filter(Boolean).join(" "));
      this.failure.hidden = false;
      this.asked = undefined;
      this.showSize();
    } finally {
      this.node.removeAttribute("aria-busy");
    }
  }

  /** @param {Pool} pool */
  set(pool) {
    this.pool = pool;
    if (this.asked && (this.asked.size === pool.size || !--this.asked.left)) this.asked = undefined;
    setText(this.device, pool.device);
    this.device.hidden = !pool.device;
    setText(this.trouble, pool.trouble ?? "");
    this.trouble.hidden = !pool.trouble;
    this.start.hidden = pool.workers.length > 0;
    this.restart.hidden = pool.workers.length === 0;
    this.showSize();
    this.setPlaces(pool);
    const isAsleep = !pool.workers.length && !pool.queued;
    setText(this.asleep, isAsleep ? "asleep" : "");
    this.load = [...this.load, pool.cpu_percent ?? pool.in_flight].slice(-HISTORY);
    this.line.setAttribute("d", Math.max(...this.load) > 0 ? linePath(this.load) : "");
    this.facts.hidden = isAsleep && !pool.submitted;
    if (!this.facts.hidden) this.setFacts(pool);
    this.folded.hidden = pool.workers.length === 0;
    setText(this.summary, pool.workers.length === 1 ? "1 worker" : `${pool.workers.length} workers`);
    this.setWorkers(pool);
  }

  /** @param {Pool} pool */
  setPlaces(pool) {
    const places = placesOf(pool).slice(0, 64);
    const text = placesText(places);
    if (this.places.getAttribute("aria-label") === text) return;
    this.places.setAttribute("aria-label", text);
    this.places.title = text;
    this.places.replaceChildren(...places.map((place) => element("span", `pv-place pv-is-${place}`)));
  }

  /** @param {Pool} pool */
  setFacts(pool) {
    const limit = pool.max_memory_bytes === null ? "" : ` · limit ${memoryText(pool.max_memory_bytes)} each`;
    /** @type {[string, string, boolean][]} */
    const facts = [
      ["Running", countText(pool.in_flight), false],
      ["Waiting", countText(pool.queued), false],
      ["Done", countText(pool.succeeded), false],
      ["Failed", countText(pool.failed), pool.failed > 0],
    ];
    if (pool.cancelled) facts.push(["Cancelled", countText(pool.cancelled), false]);
    if (pool.lost_workers) facts.push(["Crashes", countText(pool.lost_workers), true]);
    if (pool.sessions) facts.push(["Sessions", pool.sessions_waiting ? `${pool.sessions} (${pool.sessions_waiting} wait)` : countText(pool.sessions), false]);
    if (pool.workers.length) facts.push(["Memory", `${memoryText(pool.rss_bytes)}${limit}`, false]);
    if (pool.cpu_percent !== null) facts.push(["CPU", `${Math.round(pool.cpu_percent)} %`, false]);
    if (pool.gpu) facts.push(["GPU", gpuText(pool.gpu), false]);
    if (pool.gpu_memory_bytes) facts.push(["Its GPU memory", memoryText(pool.gpu_memory_bytes), false]);
    const known = new Map([...this.facts.children].map((node) => [node.firstElementChild?.textContent, node]));
    this.facts.replaceChildren(
      ...facts.map(([title, text, isMarked]) => {
        const node = known.get(title) ?? element("div", "pv-fact");
        if (!node.firstElementChild) node.append(element("dt", "", title), element("dd"));
        node.classList.toggle("dspex-pv-marked", isMarked);
        setText(/** @type {Element} */ (node.lastElementChild), text);
        return node;
      }),
    );
  }

  /** @param {Pool} pool */
  setWorkers(pool) {
    if (!this.folded.open && this.rows.children.length) this.rows.replaceChildren();
    const known = new Map([...this.rows.children].map((node) => [/** @type {HTMLElement} */ (node).dataset.worker, node]));
    const rows = pool.workers.map((worker) => {
      const row = /** @type {HTMLElement} */ (known.get(worker.id) ?? this.newRow(worker.id));
      const texts = [
        worker.state,
        countText(worker.in_flight),
        countText(worker.calls_done),
        worker.rss_bytes ? memoryText(worker.rss_bytes) : "",
        worker.cpu_percent === null ? (worker.cpu_s ? `${worker.cpu_s.toFixed(1)} s` : "") : `${Math.round(worker.cpu_percent)} %`,
        worker.pid === null ? "" : String(worker.pid),
      ];
      texts.forEach((text, place) => {
        const cell = row.children[place + 1];
        setText(place === 0 ? /** @type {Element} */ (cell.lastElementChild) : cell, text);
      });
      const state = worker.state.replace(" ", "-");
      /** @type {Element} */ (row.children[1].firstElementChild).className = `dspex-pv-place dspex-pv-is-${state}`;
      const isNear = pool.max_memory_bytes !== null && worker.rss_bytes > pool.max_memory_bytes * 0.85;
      row.children[4].classList.toggle("dspex-pv-marked", isNear);
      return row;
    });
    // Rows stay where they are: the focus does not jump.
    rows.forEach((row, place) => {
      if (this.rows.children[place] !== row) this.rows.insertBefore(row, this.rows.children[place] ?? null);
    });
    while (this.rows.children.length > rows.length) this.rows.lastElementChild?.remove();
  }

  /** @param {string} id */
  newRow(id) {
    const row = element("tr");
    row.dataset.worker = id;
    const name = row.appendChild(element("th", "pv-worker"));
    name.setAttribute("scope", "row");
    const button = /** @type {HTMLButtonElement} */ (name.appendChild(element("button", "pv-link", id)));
    button.type = "button";
    button.title = "Show its log";
    const state = row.appendChild(element("td", "pv-state"));
    state.append(element("span", "pv-place"), element("span"));
    for (const kind of CLASSES_OF_COLUMNS.slice(2)) row.append(element("td", kind));
    return row;
  }
}
