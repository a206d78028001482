// The line to the server, without a server: `make extension` first.
import assert from "node:assert/strict";
import { test } from "node:test";

const src = new URL("../../../extension/lib/extension/src/", import.meta.url);
const { EventParser } = await import(new URL("api/sse.js", src));
const { keepLine, waitMs } = await import(new URL("models/line.js", src));
const { ago, count, memory } = await import(new URL("panels/figures.js", src));

test("events come out whole, however the text is cut", () => {
  const text = ': hello\n\nevent: runs\ndata: {"a":\ndata: 1}\n\nevent: pools\r\ndata: {}\r\n\r\n';
  const whole = new EventParser().push(text);
  assert.deepEqual(whole, [
    { name: "runs", data: '{"a":\n1}' },
    { name: "pools", data: "{}" },
  ]);
  for (let cut = 1; cut < text.length; cut++) {
    const parser = new EventParser();
    assert.deepEqual([...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))], whole, String(cut));
  }
});

test("heartbeats and events without data are nothing", () => {
  assert.deepEqual(new EventParser().push(": still here\n\nevent: runs\n\n"), []);
});

/** Keeps a line whose tries end as `ends` says; what was told, and how long it waited. */
async function kept(ends) {
  const controller = new AbortController();
  const told = [];
  const waits = [];
  const listen = async (begun) => {
    const end = ends.shift();
    if (!end) return void controller.abort();
    if (end.begins) begun();
    if (end.error) throw new Error(end.error);
  };
  await keepLine(
    listen,
    (state, problem) => told.push(problem ? `${state}: ${problem}` : state),
    async (ms) => void waits.push(ms),
    controller.signal,
  );
  return { told, waits };
}

test("a line that breaks is told and made again", async () => {
  const { told } = await kept([{ begins: true }, { error: "no network" }, { begins: true, error: "gone" }]);
  assert.deepEqual(told, [
    "connecting",
    "live",
    "broken: The server ended the line.",
    "broken: no network",
    "live",
    "broken: gone",
  ]);
});

test("each failure in a row waits longer, and success begins anew", async () => {
  const { waits } = await kept([{ error: "a" }, { error: "b" }, { error: "c" }, { begins: true }, { error: "d" }]);
  assert.ok(waits[0] < waits[1] && waits[1] < waits[2]);
  assert.ok(waits[3] <= 1_250);
});

test("the wait has an end and is spread", () => {
  assert.equal(waitMs(0, 0), 750);
  assert.equal(waitMs(50, 1), 37_500);
});

test("figures read as people say them", () => {
  assert.deepEqual(
    [0, 12, 70, 4_000, 200_000, -5].map((passed) => ago(1_000_000 - passed, 1_000_000)),
    ["now", "12 s ago", "1 min ago", "1 h ago", "2 d ago", "now"],
  );
  assert.deepEqual([5e6, 2e9].map(memory), ["5 MB", "1.9 GB"]);
  assert.deepEqual([0, 1, 2].map((number) => count(number, "span")), ["0 spans", "1 span", "2 spans"]);
});
