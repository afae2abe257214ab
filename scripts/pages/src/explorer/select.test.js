import assert from "node:assert/strict";
import { test } from "node:test";
import { largest } from "./select.js";

test("the n-th largest is what sorting puts there, ties among them too", () => {
  let seed = 1;
  const next = () => {
    seed = (seed * 48271) % 2147483647;
    return seed;
  };
  for (let round = 0; round < 300; round += 1) {
    const values = Float64Array.from({ length: 1 + (next() % 30) }, () => (next() % 7) / 7);
    const sorted = [...values].sort((one, other) => other - one);
    const n = 1 + (next() % values.length);
    assert.equal(largest(values, n), sorted[n - 1]);
  }
});
