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
const links = await import(load("run_link.js"));
const elements = await import(load("elements.js"));

test("a piece that follows is appended whole", () => {
  const stream = new links.Stream();
  assert.deepEqual(stream.take(0, "Dear "), { added: "Dear ", isGap: false });
  assert.deepEqual(stream.take(5, "customer"), { added: "customer", isGap: false });
  assert.equal(stream.text, "Dear customer");
});

test("what is known already is skipped", () => {
  const stream = new links.Stream();
  stream.take(0, "Dear ");
  assert.equal(stream.take(3, "r customer").added, "customer");
  assert.equal(stream.take(0, "Dear ").added, "");
  assert.equal(stream.text, "Dear customer");
});

test("a missing piece is noticed", () => {
  const stream = new links.Stream();
  assert.equal(stream.take(5, "customer").isGap, true);
});

test("places count code points, as Python does", () => {
  const stream = new links.Stream();
  stream.take(0, "🙂🙂");
  assert.equal(stream.take(1, "🙂 well").added, " well");
  assert.equal(stream.end, 7);
});

test("a stream that begins anew says when its beginning was let go", () => {
  const stream = new links.Stream();
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

test("a page asks for all texts when a piece is missing", async () => {
  let hear = () => {};
  const asked = new Promise((resolve) => {
    const model = {
      get: () => ({ run: { is_over: true } }),
      send: resolve,
      on: (name, callback) => name === "msg:custom" && (hear = callback),
    };
    new links.RunLink(model, new AbortController().signal);
  });
  const message = { kind: "tokens", run_id: "r", pieces: [["reply", "text", 5, "customer"]], steps: {}, run: [1, null] };
  hear(message);
  assert.deepEqual(await asked, { kind: "texts" });
});

test("another run begins with no text", () => {
  let hear = () => {};
  const model = { get: () => ({ run: { is_over: true } }), send: () => {}, on: (name, to) => name === "msg:custom" && (hear = to) };
  const link = new links.RunLink(model, new AbortController().signal);
  const say = (run_id, text) => hear({ kind: "tokens", run_id, pieces: [["reply", "text", 0, text]], steps: {}, run: [1, null] });
  say("one", "Dear customer");
  say("two", "Hello");
  assert.equal(link.stream("reply", "text").text, "Hello");
});

test("attempts rise over reloads of the page", () => {
  assert.ok(links.nextAttempt(0) > 1_700_000_000_000);
  assert.equal(links.nextAttempt(9_999_999_999_999), 10_000_000_000_000);
});

const question = await import(load("form_fields.js"));
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
  assert.equal(question.startText(field("json", { default: "a" })), '"a"');
  assert.equal(question.startText(field("number", { default: 0 })), "0");
  assert.equal(question.startText(field("text")), "");
});

const { findJsonFault } = await import(load("json_fault.js"));

test("what is JSON has no fault", () => {
  const values = [{ a: [1, -2.5e3, true, null, "ü \" \\ \n \u00e9"], b: {}, c: [] }, "x", 0, [], [[[{}]]]];
  for (const value of values) {
    assert.equal(findJsonFault(JSON.stringify(value)), null);
    assert.equal(findJsonFault(JSON.stringify(value, null, 2)), null);
  }
});

test("a fault is told with its line and column, in words", () => {
  const cases = [
    ['{\n  "a": 1,\n  "b" 2\n}', 3, 7, /colon/],
    ['{\n  "a": 1,\n}', 2, 9, /comma too much/],
    ["[1 2]", 1, 4, /comma or \]/],
    ['{"a": True}', 1, 7, /JSON writes true/],
    ["{'a': 1}", 1, 2, /double quotes/],
    ['{"a": abc}', 1, 7, /double quotes: "abc"/],
    ['{"a": 1', 1, 8, /not closed/],
    ['"abc', 1, 5, /not closed/],
    ['"a\nb"', 1, 3, /not closed on its line/],
    ["1 2", 1, 3, /after the value/],
    ["", 1, 1, /missing/],
    ["[01]", 1, 2, /No value/],
  ];
  for (const [text, line, column, words] of cases) {
    const found = findJsonFault(text);
    assert.deepEqual([text, found?.line, found?.column], [text, line, column]);
    assert.match(found.message, words);
  }
});

test("it agrees with the browser on what is JSON", () => {
  const parts = ["{", "}", "[", "]", ":", ",", '"a"', "1", "true", " ", "\n", "x", "-", "1.", "0"];
  let seed = 7;
  const next = (below) => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
  for (let turn = 0; turn < 20000; turn += 1) {
    const text = Array.from({ length: 1 + next(7) }, () => parts[next(parts.length)]).join("");
    let isJson = true;
    try {
      JSON.parse(text);
    } catch {
      isJson = false;
    }
    assert.equal(findJsonFault(text) === null, isJson, JSON.stringify(text));
  }
});
