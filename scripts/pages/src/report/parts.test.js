import assert from "node:assert/strict";
import { test } from "node:test";
import { explainedBy, firstQuery, isLater, layerName, marked, queryName } from "./parts.js";

const example = /** @type {ReportExample} */ (
  /** @type {unknown} */ ({
    tokens: ["the", "key", "</s>", "<pad>", "la", "clé"],
    queries: [1, 3, 4, 5],
    prediction: "</s>",
    parts: { start: 3, names: ["Source", "Target"], explained: [null, 4, 5, null] },
  })
);
const plain = /** @type {ReportExample} */ ({ ...example, parts: null });

test("a position of the targets explains the token that it predicted", () => {
  assert.deepEqual(
    [0, 1, 2, 3].map((query) => explainedBy(example, query)),
    [null, 4, 5, null],
  );
  assert.deepEqual(
    [0, 1, 2, 3].map((query) => marked(example, query)),
    [1, 4, 5, 5],
  );
  assert.deepEqual(
    [0, 1, 2, 3].map((query) => queryName(example, query)),
    ["1  key", "4  la", "5  clé", "next  </s>"],
  );
  assert.equal(firstQuery(example, 0), 3);
});

test("a token that comes later was not read; sources are read whole", () => {
  assert.deepEqual(
    [3, 4, 5].map((token) => isLater(example, 1, token)),
    [false, true, true],
  );
  assert(!isLater(example, 0, 2));
});

test("a text in one part is as it was", () => {
  assert.equal(queryName(plain, 3), "5  clé");
  assert.equal(marked(plain, 3), 5);
  assert.equal(firstQuery(plain, 1), 1);
  assert(!isLater(plain, 1, 5));
});

test("layers have names where there are an encoder and a decoder", () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6].map((layer) => layerName(2, layer).short),
    ["E1", "E2", "S1", "C1", "S2", "C2"],
  );
  assert.equal(layerName(2, 6).whole, "decoder 2 cross");
  assert.deepEqual(layerName(0, 12), { whole: "12", short: "12" });
});
