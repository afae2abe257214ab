import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHash, toHash } from "./address.js";

const methods = ["raw", "rollout", "flow@attention-gradient"];
const one = { layers: [2, 4, 6], queries: [0, 3, 9], parts: null };
const answer = { layers: [1, 2], queries: [4, 5], parts: { start: 4 } };
const data = /** @type {ReportData} */ (/** @type {unknown} */ ({ methods, examples: [one, one, answer] }));
const first = { index: 0, layer: 0, query: 0, scale: "row", special: false, methods: new Set(methods) };

test("what is as at first needs no address, and an address gives back what was chosen", () => {
  const begun = fromHash("", data, first);
  assert.deepEqual(begun, { ...first, layer: 2 });
  assert.equal(toHash(begun, data, first), "");
  for (const index of [0, 1, 2])
    for (const layer of [0, 1])
      for (const query of [0, 1])
        for (const scale of ["row", "range", "method", "one"])
          for (const special of [false, true])
            for (const shown of [methods, ["raw"], ["rollout", "flow@attention-gradient"], []]) {
              const state = { index, layer, query, scale, special, methods: new Set(shown) };
              assert.deepEqual(fromHash(`#${toHash(state, data, first)}`, data, first), state);
            }
});

test("layers and positions stand in it by the numbers that a reader sees", () => {
  const state = { ...first, index: 1, layer: 1, query: 2 };
  assert.equal(toHash(state, data, first), "s=2&l=4&p=9");
});

test("an answer opens at its last word", () => {
  assert.equal(fromHash("#s=3", data, first).query, 1);
});

test("what cannot be understood is as at first", () => {
  assert.deepEqual(fromHash("#s=99&l=5&p=x&by=magic&special=2", data, first), { ...first, layer: 2 });
  assert.deepEqual([...fromHash("#m=0.9.x", data, first).methods], []);
});
