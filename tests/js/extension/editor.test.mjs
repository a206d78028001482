// What the editor colours and where the server's places stand in its text: `make extension` first.
import assert from "node:assert/strict";
import { test } from "node:test";

const src = new URL("../../../extension/lib/extension/src/", import.meta.url);
const { fromPython, kindOf, pythonLength } = await import(new URL("editor/cell_kind.js", src));
const { marksOf } = await import(new URL("editor/marks.js", src));

const marked = (text) => marksOf(text).map(({ from, to, kind }) => [kind, text.slice(from, to)]);

test("only our cells are ours", () => {
  assert.deepEqual(
    ["%%signature A", "%%pipeline", "%%signatures", " %%signature A", "# %%pipeline", ""].map(kindOf),
    ["signature", "pipeline", null, null, null, null],
  );
});

test("offsets count as Python does", () => {
  assert.equal(fromPython("a🙂b", 2), 3);
  assert.equal(fromPython("ab", 9), 2);
  assert.equal(pythonLength("a🙂b"), 3);
});

test("a signature's fields and arrow are marked, and nothing in texts and comments", () => {
  const text = '%%signature Triage\n"""Route: it -> there."""\nticket: str  # words -> here\n->\nchoice: Literal["a -> b",\n  "c"]\nlast';
  assert.deepEqual(marked(text), [
    ["magic", "%%signature"],
    ["name", "Triage"],
    ["field", "ticket"],
    ["arrow", "->"],
    ["field", "choice"],
    ["field", "last"],
  ]);
});

test("a pipeline's flags are marked, and not what stands in a text", () => {
  assert.deepEqual(marked('%%pipeline support --run ticket="--no" --background\na = predict("x -> y")'), [
    ["magic", "%%pipeline"],
    ["name", "support"],
    ["flag", "--run"],
    ["flag", "--background"],
  ]);
});

test("marks come in their order and within the text, whatever is typed", () => {
  for (const text of ["%%signature", "%%signature \n'''", '%%pipeline x --"', "%%signature é\n(((\n->\n)", "%%signature A\na, b -> c"]) {
    let before = 0;
    for (const { from, to } of marksOf(text)) {
      assert.ok(from >= before && to > from && to <= text.length, text);
      before = to;
    }
  }
});
