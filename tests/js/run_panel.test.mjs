// The run panel's module without a page: run with `node --test tests/js/`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

// The package's modules carry no package.json that would say that they are modules: they are loaded as text.
const folder = new URL("../../dspex_lab/widgets/static/", import.meta.url);
const asUrl = (text) => `data:text/javascript;base64,${Buffer.from(text).toString("base64")}`;
const load = (name) =>
  asUrl(
    readFileSync(new URL(name, folder), "utf8").replace(/from "\.\/(\w+\.js)"/g, (_, one) => `from "${load(one)}"`),
  );
const panel = await import(load("run_panel.js"));
const elements = await import(load("elements.js"));

test("a piece that follows is appended whole", () => {
  const stream = new panel.Stream();
  assert.deepEqual(stream.take(0, "Dear "), { added: "Dear ", isGap: false });
  assert.deepEqual(stream.take(5, "customer"), { added: "customer", isGap: false });
  assert.equal(stream.text, "Dear customer");
});

test("what is known already is skipped", () => {
  const stream = new panel.Stream();
  stream.take(0, "Dear ");
  assert.equal(stream.take(3, "r customer").added, "customer");
  assert.equal(stream.take(0, "Dear ").added, "");
  assert.equal(stream.text, "Dear customer");
});

test("a missing piece is noticed", () => {
  const stream = new panel.Stream();
  assert.equal(stream.take(5, "customer").isGap, true);
});

test("places count code points, as Python does", () => {
  const stream = new panel.Stream();
  stream.take(0, "🙂🙂");
  assert.equal(stream.take(1, "🙂 well").added, " well");
  assert.equal(stream.end, 7);
});

test("a stream that begins anew says when its beginning was let go", () => {
  const stream = new panel.Stream();
  stream.reset(4, "tail");
  assert.equal(stream.text, "…tail");
  assert.deepEqual(stream.take(8, "!"), { added: "!", isGap: false });
});

test("times and prices read as in Python's forms", () => {
  assert.deepEqual(
    [null, 0.0004, 0.42, 3.421, 125].map(elements.seconds),
    ["", "0.4 ms", "420 ms", "3.42 s", "2 min 05 s"],
  );
  assert.deepEqual([null, 0, 0.00042, 0.00001, 1.5].map(elements.cost), ["", "", "$0.0004", "<$0.0001", "$1.50"]);
  assert.deepEqual([null, 41.23, 250.4].map(elements.rate), ["", "41.2 tok/s", "250 tok/s"]);
});

test("a step that runs goes on from the time that it has taken", () => {
  assert.equal(elements.beganAt(10_000, 4.5), 5_500);
  assert.equal(elements.beganAt(10_000, null), 10_000);
});

test("the module asks for all texts when a piece is missing", async () => {
  const { initialize } = panel.default();
  let hear = () => {};
  const asked = new Promise((resolve) => {
    const model = {
      get: () => ({ run: { is_over: true } }),
      send: resolve,
      on: (_name, callback) => (hear = callback),
    };
    initialize({ model, signal: new AbortController().signal });
  });
  hear({ kind: "tokens", pieces: [["reply", "text", 5, "customer"]], steps: {}, run: [1, null], sent_at: 0 });
  assert.deepEqual(await asked, { kind: "texts" });
});

const question = await import(load("question_view.js"));
const field = (kind, more = {}) => ({ name: "x", kind, choices: [], default: null, allows_none: false, ...more });

test("a control gives what the kernel takes", () => {
  const choice = field("select", { choices: [1, "b"] });
  assert.equal(question.readValue(field("checkbox"), { checked: false, value: "on" }), false);
  assert.equal(question.readValue(field("number"), { value: "12345678901234567890" }), "12345678901234567890");
  assert.equal(question.readValue(choice, { value: "0" }), 1);
  assert.equal(question.readValue(choice, { value: "" }), undefined);
  assert.equal(question.readValue({ ...choice, allows_none: true }, { value: "" }), null);
});

test("a default stands in its control", () => {
  assert.equal(question.startText(field("text", { default: "hello" })), "hello");
  assert.equal(question.startText(field("lines", { default: ["a", "b"] })), "a\nb");
  assert.equal(question.startText(field("json", { default: { a: 1 } })), '{"a":1}');
  assert.equal(question.startText(field("number", { default: 0 })), "0");
  assert.equal(question.startText(field("text")), "");
});
