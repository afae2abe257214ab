import assert from "node:assert/strict";
import { test } from "node:test";
import { bounds, ranks, shareOf, toldApart, unpack } from "./example.js";

const VALUES = [0.9, 0.1, 0.1 + 5e-7, 0.4, /* layer 2 */ 0.2, 0.2, 0.8, 0];
const example = {
  ...{ id: 1, text: "", pair: null, tokens: ["[CLS]", "a", "b", "c"], source: [-1, 0, 0, 0], layers: [1, 2] },
  ...{ queries: [0], queries_total: 1, prediction: null, probabilities: null, pieces: [], joined: [] },
  values: { raw: Buffer.from(Float32Array.from(VALUES).buffer).toString("base64") },
  certified: Buffer.from([1, 0, 1, 1, 1, 1, 1, 1]).toString("base64"),
  saturated: {},
  carried: null,
  parts: null,
};
const unpacked = unpack(/** @type {ReportExample} */ (example), ["raw"]);

/** @param {Partial<ReportState>} choice */
const stateOf = (choice) => /** @type {ReportState} */ ({ scale: "row", special: false, ...choice });

test("rows and certificates are where Python put them", () => {
  assert.deepEqual([...unpacked.row("raw", 1, 0)], [...Float32Array.from(VALUES.slice(4))]);
  assert.deepEqual(
    [unpacked.certified(0, 0, 0), unpacked.certified(0, 0, 1), unpacked.certified(1, 0, 3)],
    [true, false, true],
  );
  assert(unpack(/** @type {ReportExample} */ ({ ...example, certified: null }), ["raw"]).certified(0, 0, 1));
});

test("ranks count from 1, and what is nearer than a certificate ties", () => {
  assert.deepEqual(ranks(unpacked, "raw", 0, 0), [
    { rank: 1, ties: 0 },
    { rank: 3, ties: 1 },
    { rank: 3, ties: 1 },
    { rank: 2, ties: 0 },
  ]);
});

test("a flow that fills trivial cuts says how many tokens it tells apart, and what tells more of them", () => {
  const saturated = {
    flow: Buffer.from([1, 1, 0, 1, /* layer 2 */ 1, 1, 1, 1]).toString("base64"),
    "flow@alti": Buffer.from([1, 1, 0, 1, /* layer 2 */ 0, 0, 1, 0]).toString("base64"),
    "flow@norms": null,
    "flow@gradient": Buffer.from([1, 1, 0, 0, /* layer 2 */ 1, 1, 0, 0]).toString("base64"),
  };
  const { raw } = example.values;
  const values = { raw, flow: raw, "flow@alti": raw, "flow@norms": raw, "flow@gradient": raw };
  const one = unpack(/** @type {ReportExample} */ ({ ...example, values, saturated }), Object.keys(values));
  assert.equal(one.saturated("flow", 0, 0, 3), true);
  assert.equal(one.saturated("flow", 0, 0, 2), false);
  const told = (/** @type {string} */ method, /** @type {number} */ layer, /** @type {string[]} */ ...methods) =>
    toldApart(one, method, layer, 0, methods);
  assert.deepEqual(told("flow", 0, "raw", "flow"), { apart: 1, of: 4, instead: null });
  assert.deepEqual(told("flow", 0, "rollout", "flow", "flow@alti"), { apart: 1, of: 4, instead: "rollout" });
  assert.deepEqual(told("flow", 1, "rollout", "flow", "flow@alti"), { apart: 0, of: 4, instead: "flow@alti" });
  assert.deepEqual(told("flow", 1, "flow", "flow@norms", "flow@alti"), { apart: 0, of: 4, instead: "flow@norms" });
  // Where it tells half of them, it is enough.
  assert.deepEqual(told("flow@gradient", 0, "rollout", "flow@gradient"), { apart: 2, of: 4, instead: null });
  assert.equal(told("flow@norms", 1, "flow@norms"), null);
  assert.equal(told("raw", 1, "raw", "flow"), null);
});

test("a method has a sign wherever one of its values is below 0, and full shade on either side of it", () => {
  const signed = [0.2, -0.9, 0.3, 0, /* layer 2 */ 0.5, 0.1, 0.2, 0.4];
  const values = {
    raw: example.values.raw,
    decompx: Buffer.from(Float32Array.from(signed).buffer).toString("base64"),
  };
  const one = unpack(/** @type {ReportExample} */ ({ ...example, values }), ["raw", "decompx"]);
  assert.deepEqual([one.hasSign("raw"), one.hasSign("decompx")], [false, true]);
  // The largest by size, at the layer without a negative value as well where the scale is the method's.
  const high = (/** @type {number} */ layer, /** @type {Partial<ReportState>} */ choice) =>
    bounds(one, "decompx", layer, 0, stateOf(choice)).map((value) => Number(value.toFixed(6)));
  assert.deepEqual(high(0, {}), [0, 0.9]);
  assert.deepEqual(high(1, {}), [0, 0.4]);
  assert.deepEqual(high(1, { scale: "method" }), [0, 0.9]);
  // No shade is the smallest value only where none is negative.
  assert.deepEqual(high(0, { scale: "range" }), [0, 0.9]);
  assert.deepEqual(high(1, { scale: "range" }), [0.1, 0.4]);
  assert.equal(shareOf(-0.9, [0, 0.9]), -1);
});

test("full shade is the largest of what was chosen, special tokens apart", () => {
  const near = (/** @type {number[]} */ [low, high], /** @type {number[]} */ expected) =>
    assert(Math.abs(low - expected[0]) + Math.abs(high - expected[1]) < 1e-6);
  near(bounds(unpacked, "raw", 0, 0, stateOf({})), [0, 0.4]);
  near(bounds(unpacked, "raw", 0, 0, stateOf({ special: true })), [0, 0.9]);
  near(bounds(unpacked, "raw", 0, 0, stateOf({ scale: "method" })), [0, 0.8]);
  near(bounds(unpacked, "raw", 0, 0, stateOf({ scale: "range" })), [0.1, 0.4]);
  near(bounds(unpacked, "raw", 0, 0, stateOf({ scale: "one" })), [0, 1]);
  assert.equal(shareOf(0.25, [0, 0.5]), 0.5);
  // A decoder's first token is one of the text, and sets no scale either.
  const parts = /** @type {ReportExample["parts"]} */ ({
    start: 2,
    names: ["Prompt", "Answer"],
    explained: [],
    sink: 0,
  });
  const words = unpacked.example.source.map(() => 0);
  const answered = /** @type {Unpacked} */ ({ ...unpacked, example: { ...unpacked.example, source: words, parts } });
  const rest = Math.max(...unpacked.row("raw", 0, 0).subarray(1));
  near(bounds(answered, "raw", 0, 0, stateOf({})), [0, rest]);
  near(bounds(answered, "raw", 0, 0, stateOf({ special: true })), [0, Math.max(rest, unpacked.row("raw", 0, 0)[0])]);
  // Nor does the position that predicted: what it holds is mostly its own.
  const later = { ...answered.example, queries: [3] };
  const others = Math.max(...unpacked.row("raw", 0, 0).filter((_, token) => token !== 0 && token !== 3));
  near(bounds({ ...answered, example: later }, "raw", 0, 0, stateOf({})), [0, others]);
  // A special token may lie below the smallest word, and speaks against nothing.
  assert.equal(shareOf(0.05, [0.2, 0.5]), 0);
  assert.equal(shareOf(-0.25, [0, 0.5]), -0.5);
});
