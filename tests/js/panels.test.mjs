// The pool and metrics panels' modules, and the line to the kernel, without a page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { Link, PATIENCE, Refusal } = await load("panel_link.js");
const card = await load("pool_card.js");
const charts = await load("metric_charts.js");
const { firstChoice } = await load("run_comparison.js");
const { pieces } = await load("plain_chart.js");
const { uptimeText } = await load("pools_view.js");
const { logName } = await load("logs_view.js");
const { formatJson } = await load("json_format.js");

function connect() {
  const sent = [];
  let hear;
  const abort = new AbortController();
  const model = { get: () => ({}), send: (content) => sent.push(content), on: (_, callback) => (hear = callback) };
  const link = new Link(model, abort.signal);
  return { link, sent, abort, answer: (message, buffers) => hear(message, buffers) };
}

test("nothing is said before the kernel's subshell is there", (t) => {
  t.mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
  const { link, sent, abort } = connect();
  link.open();
  assert.deepEqual(sent, []);
  t.mock.timers.tick(PATIENCE.subshellMs);
  assert.deepEqual(sent, [{ kind: "seen" }]);
  t.mock.timers.tick(PATIENCE.seenMs);
  assert.equal(sent.length, 2);
  link.close();
  assert.deepEqual(sent.at(-1), { kind: "unseen" });
  abort.abort();
});

test("an order is said again until it is answered", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
  const { link, sent, answer, abort } = connect();
  const asked = link.ask("resize", { pool: "general", size: 3 });
  t.mock.timers.tick(PATIENCE.subshellMs + PATIENCE.againMs * 3);
  const orders = sent.filter((one) => one.kind === "order");
  assert.ok(orders.length >= 2);
  assert.equal(new Set(orders.map((one) => one.id)).size, 1);
  answer({ kind: "reply", id: orders[0].id, value: 7 }, []);
  assert.equal((await asked).value, 7);
  const before = sent.length;
  t.mock.timers.tick(PATIENCE.againMs * 2);
  assert.equal(sent.filter((one) => one.kind === "order").length, orders.length, `${before}`);
  abort.abort();
});

test("a refusal has its hint", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
  const { link, sent, answer, abort } = connect();
  const asked = link.ask("resize");
  t.mock.timers.tick(PATIENCE.subshellMs + 1);
  answer({ kind: "reply", id: sent.at(-1).id, error: { message: "No.", hint: "Start it." } });
  await assert.rejects(asked, (error) => error instanceof Refusal && error.message === "No." && error.hint === "Start it.");
  abort.abort();
});

test("a kernel that never answers is given up", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
  const { link, abort } = connect();
  const asked = link.ask("resize");
  t.mock.timers.tick(PATIENCE.againMs * (PATIENCE.times + 2));
  await assert.rejects(asked, /does not answer/);
  abort.abort();
});

test("a pool's places are its workers, and those that there may be", () => {
  const worker = (state) => ({ state });
  const places = card.placesOf({ size: 4, workers: [worker("busy"), worker("in session")] });
  assert.deepEqual(places, ["busy", "in-session", "none", "none"]);
  assert.equal(card.placesText(places), "1 busy, 1 in session, 2 not started");
  assert.deepEqual(card.placesOf({ size: 1, workers: [worker("busy"), worker("draining")] }), ["busy", "draining"]);
});

test("memory, time and log files read well", () => {
  assert.deepEqual([0, 412 * 2 ** 20, 1229 * 2 ** 20, null].map(card.memoryText), ["0 MB", "412 MB", "1.2 GB", ""]);
  assert.deepEqual([12.4, 300, 7500].map(uptimeText), ["12 s", "5 min", "2 h 5 min"]);
  assert.equal(logName("/tmp/run/general/general-1.log"), "general/general-1.log");
});

test("a device says what is taken and how busy it is", () => {
  const gpu = { memory_bytes: 80 * 2 ** 30, used_bytes: 12.3 * 2 ** 30, busy_percent: 43.2 };
  assert.equal(card.gpuText(gpu), "12.3 GB of 80.0 GB · 43 % busy");
  assert.equal(card.gpuText({ ...gpu, busy_percent: null }), "12.3 GB of 80.0 GB");
});

test("a line of readings ends at the right", () => {
  assert.equal(card.linePath([1]), "");
  assert.match(card.linePath([0, 2, 0, 2]), /^M\S+ 19.0L.*L100.0 1.0$/);
});

const row = (t, calls, more = []) => [t, calls, 0, calls * 10, calls, 0.1, 0.2, 0.3, ...more];

test("a bucket in which nothing ended is zero, and no latency", () => {
  const rows = charts.filledRows([row(1000, 5), row(1010, 10)], 1012, 20, 5);
  assert.deepEqual(rows.map((one) => one[1]), [0, 5, 0, 10]);
  const { latency, throughput } = charts.chartsOf(rows, 5);
  assert.deepEqual(latency.lines[0].values, [null, 0.1, null, 0.1]);
  assert.deepEqual(throughput.lines[0].values, [0, 1, 0, 2]);
});

test("a long window is joined to at most some 240 points, and nothing is lost", () => {
  const all = Array.from({ length: 720 }, (_, n) => row(n * 5, 2));
  const rows = charts.filledRows(all, 720 * 5 - 1, 3600, 5);
  assert.ok(rows.length <= 241);
  assert.equal(rows.reduce((sum, one) => sum + one[1], 0), 1440);
  assert.equal(charts.chartsOf(rows, 5).throughput.lines[0].values[1], 0.4);
});

test("joined latencies count by their calls, the slowest stays", () => {
  const joined = charts.joinRows(0, [[0, 1, 0, 0, 0, 1, 1, 5], [5, 3, 1, 0, 0, 2, 2, 3]]);
  assert.deepEqual(joined, [0, 4, 1, 0, 0, 1.75, 1.75, 5]);
  assert.equal(charts.totalsOf([[0, 4, 1, 0, 0, 1, 1, 1]]).errorRate, 0.25);
  assert.equal(charts.totalsOf([]).errorRate, 0);
});

test("runs stand side by side by their steps, also by those that only one has", () => {
  const run = (id, steps) => ({ id, pipeline: "p", steps: steps.map(([name, duration_s]) => ({ name, duration_s })) });
  const colours = { series: ["red", "blue"], fg: "", faint: "", line: "", bg: "", bad: "", font: "" };
  const { data } = charts.comparison([run("1", [["a", 1], ["b", 2]]), run("2", [["b", 3], ["c", 4]])], "duration_s", colours);
  assert.deepEqual(data.map((one) => one.y), [[1, 2, null], [null, 3, 4]]);
  assert.deepEqual(data[0].x, ["a", "b", "c"]);
});

test("differences are to the first run", () => {
  assert.deepEqual([[12, 10], [8, 10], [10, 10], [null, 10], [10, 0]].map(([one, first]) => charts.difference(one, first)), ["+20 %", "−20 %", "", "", ""]);
});

test("the two newest runs of the newest pipeline are compared at first", () => {
  const run = (id, pipeline) => ({ id, pipeline });
  assert.deepEqual(firstChoice([run("1", "a"), run("2", "b"), run("3", "a"), run("4", "a")]), ["1", "3"]);
  assert.deepEqual(firstChoice([]), []);
});

test("a plain line has gaps where there is no value", () => {
  assert.equal(pieces([0, 1, null, 1], 1), "M0.00 40.00L33.33 1.00M100.00 1.00h.6");
});

test("a moment with calls between moments without is a point", () => {
  assert.deepEqual([1, null, 2, 3, null].map((_, at, all) => charts.standsAlone(all, at)), [true, false, false, false, false]);
});

test("JSON is set in order as the browser would, and no digit of it changes", () => {
  const value = { a: [1, { b: "x, {y}: \"z\"" }, []], c: {}, d: [[true, null]], "e:": -1.5 };
  assert.equal(formatJson(JSON.stringify(value)), JSON.stringify(value, null, 2));
  assert.equal(formatJson(" \n[ 12345678901234567890 ,1.0, 1e400]"), "[\n  12345678901234567890,\n  1.0,\n  1e400\n]");
  assert.equal(formatJson(formatJson('{"a":{"b":[]}}')), '{\n  "a": {\n    "b": []\n  }\n}');
});
