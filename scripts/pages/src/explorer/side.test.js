import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf } from "../shared/base64.js";
import { distance, GRAPHS } from "../testing/golden.js";
import { entropyOf, offset, toWord } from "./measures.js";
import { Side } from "./side.js";

const FINE = { bits: 10, steps: 255, fused: [] };

/**
 * @param {import("../testing/golden.js").Golden} golden
 * @param {Record<string, number[]>} [queries]
 * @param {Kept} [kept]
 */
function sideOf({ packed, heads }, queries = {}, kept = FINE) {
  const tokens = heads[0][0].map((_, token) => `t${token}`);
  const said = {
    prediction: null,
    probabilities: null,
    loss: null,
    carried: null,
    picture: null,
    scales: {},
    apart: {},
  };
  const meta = { ...said, tokens, source: tokens.map(() => 0), pieces: [], joined: [] };
  return new Side(meta, ["rollout"], queries, kept, bytesOf(packed), { layers: heads.length, heads: heads[0].length });
}

for (const [name, golden] of GRAPHS) {
  const side = sideOf(golden);
  const { heads, halves, entropy } = golden;

  test(`${name}: numbers are unpacked as Python packed them`, () => {
    heads.forEach((layer, at) => {
      assert.deepEqual([...side.matrix("rollout", at)], halves[at].flat());
      for (const [position, row] of halves[at].entries())
        assert.deepEqual([...(side.row("rollout", at, position) ?? [])], row);
      layer.forEach((weights, head) => {
        assert(distance(side.head(at, head), weights.flat()) < 1e-7);
        weights.forEach((row, position) => {
          row.forEach((weight, token) => {
            assert(Math.abs(side.weight(at, head, position, token) - weight) < 1e-7);
          });
        });
      });
      const mean = layer[0]
        .flat()
        .map((_, index) => layer.reduce((sum, one) => sum + one.flat()[index], 0) / layer.length);
      assert(
        distance(
          side.mean(
            at,
            layer.map((_, head) => head),
          ),
          mean,
        ) < 1e-6,
      );
    });
  });

  test(`${name}: entropy of a head is the library's`, () => {
    heads.forEach((layer, at) => {
      const found = layer.map((_, head) => entropyOf(side.head(at, head), side.size));
      assert(distance(found, entropy[at]) < 1e-5);
    });
  });

  test(`${name}: attention to a word and to a neighbour is the mean of its weights`, () => {
    heads.forEach((layer, at) => {
      layer.forEach((weights, head) => {
        const size = weights.length;
        const column = weights.reduce((sum, row) => sum + row[1], 0) / size;
        assert(Math.abs(toWord(side, at, head, 1) - column) < 1e-6);
        assert.equal(toWord(side, at, head, 1, 2), side.weight(at, head, 2, 1));
        const before = weights.slice(1).reduce((sum, row, position) => sum + row[position], 0) / (size - 1);
        assert(Math.abs((offset(side, at, head, -1) ?? NaN) - before) < 1e-6);
      });
    });
    assert(Number.isNaN(toWord(side, 0, 0, null)));
  });
}

test("of a method that was asked for some positions the others have no row", () => {
  const [, golden] = GRAPHS[0];
  const size = golden.halves[0].length;
  const some = golden.halves.map((layer) => layer.slice(0, 2));
  const side = sideOf({ ...golden, packed: golden.some }, { rollout: [0, 1] });
  assert.deepEqual([...(side.row("rollout", 1, 1) ?? [])], some[1][1]);
  assert.equal(side.row("rollout", 1, 2), null);
  assert.deepEqual(side.asked("rollout"), [0, 1]);
  const matrix = side.matrix("rollout", 2);
  assert.deepEqual([...matrix.subarray(0, size)], some[2][0]);
  assert(matrix.subarray(2 * size).every(Number.isNaN));
});

test("small numbers are multiplied by their method's scale, and a flow's row says how many tokens it tells apart", () => {
  const [, golden] = [...GRAPHS][0];
  const side = sideOf(golden);
  const plain = [...side.matrix("rollout", 1)];
  const size = side.size;
  const full = Array.from({ length: size }, () => size);
  const scaled = sideOf(golden);
  scaled.scales = { rollout: 2 ** -20 };
  scaled.told = { rollout: [full, [1, ...full.slice(1)]] };
  assert.deepEqual(
    [...scaled.matrix("rollout", 1)],
    plain.map((value) => value * 2 ** -20),
  );
  assert.deepEqual(
    [...(scaled.row("rollout", 1, 1) ?? [])],
    plain.slice(size, 2 * size).map((value) => value * 2 ** -20),
  );
  // Asked for again, the numbers are the same.
  assert.deepEqual(
    [...(scaled.row("rollout", 1, 1) ?? [])],
    plain.slice(size, 2 * size).map((value) => value * 2 ** -20),
  );
  assert.deepEqual(
    [scaled.apart("rollout", 1, 0), scaled.apart("rollout", 1, 1), scaled.apart("raw", 1, 0)],
    [1, null, null],
  );
  assert.equal(side.apart("rollout", 1, 0), null);
});

for (const [name, golden] of GRAPHS) {
  const coarse = { bits: 5, steps: 31, fused: [] };

  test(`${name}: where few bits and steps are kept, numbers are off by no more than that`, () => {
    const side = sideOf({ ...golden, packed: golden.coarse }, {}, coarse);
    golden.heads.forEach((layer, at) => {
      golden.halves[at].flat().forEach((exact, index) => {
        assert(Math.abs(side.matrix("rollout", at)[index] - exact) <= exact * 2 ** -6 + 2 ** -10 * exact + 3e-8);
      });
      layer.forEach((weights, head) => {
        weights.flat().forEach((exact, index) => {
          assert(Math.abs(side.head(at, head)[index] - exact) <= Math.sqrt(exact) / 31 + 1 / (4 * 31 ** 2) + 5e-3);
        });
      });
    });
  });

  test(`${name}: a method that is the mean of the heads is taken from them`, () => {
    const side = sideOf({ ...golden, packed: golden.fused }, {}, { ...coarse, fused: ["rollout"] });
    const kept = sideOf({ ...golden, packed: golden.coarse }, {}, coarse);
    const every = golden.heads[0].map((_, head) => head);
    golden.heads.forEach((_, at) => {
      assert.deepEqual(side.matrix("rollout", at), kept.mean(at, every));
      assert.deepEqual(
        [...(side.row("rollout", at, 1) ?? [])],
        [...kept.mean(at, every).subarray(side.size, 2 * side.size)],
      );
    });
  });
}
