import assert from "node:assert/strict";
import { test } from "node:test";
import { explorerData, standIn } from "../testing/page.js";

standIn(explorerData());
const { understood } = await import("./frame.js");

test("what is asked for is read as an address is", () => {
  assert.deepEqual(understood({ position: 2, word: null, threshold: 0.25 }), {
    position: 2,
    word: null,
    threshold: 0.25,
  });
});

test("what is not understood changes nothing", () => {
  for (const asked of [null, undefined, 3, "position", { position: -1 }, { position: null }, { layer: 1e9 }]) {
    assert.deepEqual(understood(asked), {});
  }
  assert.deepEqual(understood({ search: "x", theme: "dark", constructor: 1, __proto__: { layer: 1 } }), {});
});
