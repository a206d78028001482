// What the server refuses, without a server: `make extension` first.
import assert from "node:assert/strict";
import { test } from "node:test";

const src = new URL("../../../extension/lib/extension/src/", import.meta.url);
const { Refusal } = await import(new URL("api/refusal.js", src));

const answer = (body, status, statusText) => new Response(body, { status, statusText });

test("faults are told field by field, in the notebook's own words", async () => {
  const errors = [{ field: "stars", message: "Too many." }];
  const body = JSON.stringify({ message: "That is no answer.", error: { type: "ValidationError", errors } });
  const refusal = await Refusal.of(answer(body, 400, "Bad Request"));
  assert.ok(refusal instanceof Error);
  assert.deepEqual([refusal.message, refusal.status, refusal.faults], ["That is no answer.", 400, errors]);
});

test("an answer that is no JSON of ours is told by its status", async () => {
  for (const body of ["<html>", "", "null", "[]", '{"message": null}']) {
    const refusal = await Refusal.of(answer(body, 502, "Bad Gateway"));
    assert.equal(refusal.message, "The server answers with 502 Bad Gateway.", body);
    assert.deepEqual(refusal.faults, []);
  }
});
