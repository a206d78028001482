// The waterfall's modules without a page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const rows = await load("trace_rows.js");
const details = await load("trace_details.js");
const overview = await load("trace_overview.js");

const span = (id, parent, start_s = 0, duration_s = 1, more = {}) => ({
  id, parent, name: `span ${id}`, kind: "step", start_s, duration_s, status: "ok", message: "", attributes: {}, ...more,
});
const SPANS = [span("a", null, 0, 10), span("b", "a", 1, 4), span("c", "b", 2, 1), span("d", "b", 2.5, 2), span("e", "a", 6, 2), span("f", null, 9, 1)];
const nodes = rows.treeOf(SPANS);
const ids = (found) => found.map((node) => node.span.id).join("");

test("a tree knows depths, extents and places among siblings", () => {
  assert.deepEqual(nodes.map((node) => node.depth), [0, 1, 2, 2, 1, 0]);
  assert.deepEqual(nodes.map((node) => node.end), [5, 4, 3, 4, 5, 6]);
  assert.deepEqual(nodes.map((node) => [node.position, node.siblings]), [[1, 2], [1, 2], [1, 1 + 1], [2, 2], [2, 2], [2, 2]]);
});

test("what hangs below a folded span is not seen", () => {
  assert.equal(ids(rows.visibleRows(nodes, new Set())), "abcdef");
  assert.equal(ids(rows.visibleRows(nodes, new Set(["b"]))), "abef");
  assert.equal(ids(rows.visibleRows(nodes, new Set(["a", "b"]))), "af");
});

test("a span knows the one around it", () => {
  assert.equal(rows.parentOf(nodes, nodes[3]).span.id, "b");
  assert.equal(rows.parentOf(nodes, nodes[5]), undefined);
});

test("a search finds what holds every word, anywhere in the span", () => {
  const texts = SPANS.map(rows.searchText);
  assert.deepEqual(rows.matching(texts, "SPAN c"), [2]);
  assert.deepEqual(rows.matching([rows.searchText(span("x", null, 0, 1, { attributes: { model: "SmolLM" } }))], "smollm"), [0]);
  assert.deepEqual(rows.matching(texts, "  "), []);
});

test("zooming keeps the moment under the pointer where it is, and ends at the trace's ends", () => {
  const seen = rows.zoomed({ from: 0, to: 10 }, 0.5, 4, 10);
  assert.deepEqual(seen, { from: 2, to: 7 });
  assert.deepEqual(rows.zoomed(seen, 100, 4, 10), { from: 0, to: 10 });
  assert.deepEqual(rows.zoomed({ from: 0, to: 2 }, 1, 0, 10), { from: 0, to: 2 });
  const closest = rows.zoomed({ from: 0, to: 1e-6 }, 0.01, 0, 10);
  assert.ok(closest.to - closest.from > 0);
});

test("moving along stops at the ends", () => {
  assert.deepEqual(rows.panned({ from: 2, to: 4 }, 0.5, 10), { from: 3, to: 5 });
  assert.deepEqual(rows.panned({ from: 8, to: 10 }, 0.5, 10), { from: 8, to: 10 });
  assert.deepEqual(rows.within({ from: -3, to: 20 }, 10), { from: 0, to: 10 });
});

test("ticks are round, and of one unit", () => {
  const found = rows.ticks({ from: 0, to: 4.62 }, 5);
  assert.deepEqual(found.map((s) => rows.moment(s, 4.62)), ["0 s", "1 s", "2 s", "3 s", "4 s"]);
  assert.deepEqual(rows.ticks({ from: 0, to: 0 }, 5), []);
  assert.equal(rows.moment(0.0125, 0.05), "12.5 ms");
  assert.equal(rows.moment(0.0000125, 0.00005), "12.5 µs");
});

test("the time of a span itself is what no child covers, however they overlap", () => {
  assert.equal(details.selfTime(nodes[1], nodes), 1.5);
  assert.equal(details.selfTime(nodes[0], nodes), 4);
  assert.equal(details.selfTime(nodes[2], nodes), 1);
});

test("JSON is laid out, other text is left as it is", () => {
  assert.equal(details.readable('{"a":1}'), '{\n  "a": 1\n}');
  assert.equal(details.readable("[not json"), "[not json");
  assert.equal(details.readable('{"a": "cut…'), '{"a": "cut…');
  assert.equal(details.readable(7), "7");
});

test("messages of a conversation are told apart from other values", () => {
  const said = [{ role: "system", content: "Be kind." }, { role: "user", content: [{ type: "text", text: "Hello" }, { type: "image" }] }, { role: "assistant", content: null }];
  assert.deepEqual(details.conversation(JSON.stringify(said)), [
    { role: "system", text: "Be kind." },
    { role: "user", text: 'Hello\n{"type":"image"}' },
    { role: "assistant", text: "" },
  ]);
  for (const other of ["[1, 2]", "[]", '[{"a": 1}]', "[cut…", "text", 7, null]) assert.equal(details.conversation(other), null);
});

test("the strip has one path for each kind, however many spans", () => {
  const many = rows.treeOf([span("r", null, 0, 100), ...Array.from({ length: 4000 }, (_, n) => span(`s${n}`, "r", n / 40, 0.02, { kind: "lm" }))]);
  const paths = overview.strips(many, 100);
  assert.deepEqual([...paths.keys()], ["step", "lm"]);
  assert.ok(paths.get("lm").length < 30_000);
});
