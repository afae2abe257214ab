import assert from "node:assert/strict";
import { test } from "node:test";
import { distance, GRAPHS } from "../testing/golden.js";
import { attentionArcs, backward, forward, mixingOf, shareArcs, unit } from "./graph.js";

// The library works in float32.
const NEAR = 1e-6;

for (const [name, { residual, attention, rollout }] of GRAPHS) {
  const size = rollout[0].length;
  const mixings = attention.map((layer) => mixingOf(Float64Array.from(layer.flat()), size, residual));
  const every = Array.from({ length: size }, (_, index) => index);

  test(`${name}: shares that reach a layer below are rollout from there`, () => {
    rollout.forEach((rows, start) => {
      for (const target of every) {
        const shares = backward(mixings.slice(start), size, target);
        assert.equal(shares.length, mixings.length - start + 1);
        assert(distance(shares[0], rows[target]) < NEAR);
      }
    });
  });

  test(`${name}: what comes from a word is rollout's column`, () => {
    for (const word of every) {
      const shares = forward(mixings, size, unit(size, word));
      const column = rollout[0].map((row) => row[word]);
      assert(distance(shares[mixings.length], column) < NEAR);
    }
  });

  test(`${name}: the arcs of a layer carry the whole share`, () => {
    for (const [
      wordsOf,
      total,
    ] of /** @type {[(word: number) => Float64Array | null, (target: number, word: number) => number][]} */ ([
      [() => null, () => 1],
      [(word) => unit(size, word), (target, word) => rollout[0][target][word]],
      // All words but one: what special tokens that are hidden leave.
      [(word) => unit(size, word).map((one) => 1 - one), (target, word) => 1 - rollout[0][target][word]],
    ])) {
      for (const target of every) {
        const word = (target + 1) % size;
        const { arcs, nodes } = shareArcs(mixings, size, target, wordsOf(word));
        for (const layer of [...arcs, ...nodes]) {
          const sum = layer.reduce((one, other) => one + other, 0);
          assert(Math.abs(sum - total(target, word)) < NEAR);
        }
      }
    }
  });
}

test("a trace by attention keeps arcs that lie on a way over the threshold, and no others", () => {
  // 2 is reached from 0 through 1; the arc of .1 is under the threshold.
  const layers = [
    [1, 0, 0, 0.6, 0.4, 0, 0, 0.1, 0.9],
    [1, 0, 0, 0, 1, 0, 0, 0.7, 0.3],
  ].map((layer) => Float64Array.from(layer));
  const { arcs, nodes } = attentionArcs(layers, 3, "both", 2, 0, 0.2);
  assert.deepEqual([...arcs[0]], [0, 0, 0, 0.6, 0, 0, 0, 0, 0]);
  assert.deepEqual([...arcs[1]], [0, 0, 0, 0, 0, 0, 0, 0.7, 0]);
  assert.deepEqual(
    nodes.map((step) => [...step]),
    [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ],
  );
  const all = attentionArcs(layers, 3, "all", 2, 0, 0.2);
  assert.deepEqual([...all.arcs[0]], [...layers[0]]);
});
