import assert from "node:assert/strict";
import { test } from "node:test";
import { explorerData, standIn } from "../testing/page.js";

standIn(explorerData());
const { data } = await import("./page.js");
const { VIEWS } = await import("./views/index.js");
const { choose, FIELDS, fit, fromHash, headsChosen, state, toHash } = await import("./state.js");

const first = Object.fromEntries(Object.entries(FIELDS).map(([name, [, value]]) => [name, value]));

test("what is chosen comes back from the address, and what is as at first is not in it", () => {
  Object.assign(state, first);
  assert.equal(toHash(), "");
  const chosen = {
    sentence: 1,
    word: 2,
    layer: 1,
    heads: "1.2_2.1",
    models: "diff",
    map: "layers",
    view: "grid",
    threshold: 0.25,
  };
  Object.assign(state, chosen, { search: "a & b=c" });
  assert.deepEqual(fromHash(`#${toHash()}`), { ...first, ...chosen, search: "a & b=c" });
});

test("what an address says that cannot be is left out", () => {
  for (const hash of [
    "s=2",
    "s=-1",
    "s=x",
    "l=3",
    "l=0",
    "view=nothing",
    "map=x",
    "over=2",
    "over=",
    "heads=1",
    "m=c",
    "x=1",
  ]) {
    assert.deepEqual(fromHash(hash), first, hash);
  }
});

test("names in the address are different ones", () => {
  const names = Object.values(FIELDS).map(([short]) => short);
  assert.equal(new Set(names).size, names.length);
});

test("every field that a view follows from, or brings along, is one of the state", () => {
  assert.equal(new Set(VIEWS.map(({ name }) => name)).size, VIEWS.length);
  for (const view of VIEWS) {
    for (const field of [...view.uses, ...Object.keys(view.fields ?? {})])
      assert(field in state, `${view.name}: ${field}`);
    for (const field of Object.keys(view.fields ?? {})) assert(view.uses.includes(field), `${view.name}: ${field}`);
  }
});

test("heads of a layer are known by numbers from 1, and those that are not there are passed over", () => {
  state.heads = "1.2_2.1_2.2_3.1_1.9";
  assert.deepEqual(
    [...(headsChosen() ?? [])],
    [
      [0, [1]],
      [1, [0, 1]],
    ],
  );
  state.heads = "9.9";
  assert.equal(headsChosen(), null);
});

test("a choice that a sentence does not have is brought into it", () => {
  Object.assign(state, first, { position: 9, word: 8, from: 2, to: 1, heads: "9.9" });
  fit(/** @type {any} */ ({ sides: [{ size: 4 }] }));
  assert.deepEqual([state.position, state.word, state.to, state.heads], [0, null, 2, ""]);
  data.last = true;
  Object.assign(state, { position: Infinity });
  fit(/** @type {any} */ ({ sides: [{ size: 4 }] }));
  data.last = false;
  assert.equal(state.position, 3);
});

test("another sentence of a decoder opens at its own last position, whatever was chosen in the one before", () => {
  data.last = true;
  Object.assign(state, first, { sentence: 0, position: 1 });
  choose({ sentence: 1 });
  fit(/** @type {any} */ ({ sides: [{ size: 40 }] }));
  assert.equal(state.position, 39);
  choose({ sentence: 1, word: 3 });
  assert.equal(state.position, 39);
  choose({ sentence: 0, position: 2 });
  assert.equal(state.position, 2);
  data.last = false;
  choose({ sentence: 1 });
  assert.equal(state.position, 2);
});

test("a word that is chosen is traced to the position, and none is left traced", () => {
  Object.assign(state, { word: null, trace: "back" });
  choose({ word: 1 });
  assert.equal(state.trace, "both");
  choose({ word: null });
  assert.equal(state.trace, "back");
  choose({ trace: "forward" });
  choose({ word: 1 });
  assert.equal(state.trace, "forward");
});
