import assert from "node:assert/strict";
import { test } from "node:test";
import { movedApart, nameIn, withRoom } from "./labels.js";

test("labels that have room stay where they are", () => {
  assert.deepEqual(movedApart([5, 20, 40], 11, 0, 50), [5, 20, 40]);
});

test("labels that would overlap are a gap apart, in order and within bounds", () => {
  for (const wanted of [
    [10, 10, 10, 10],
    [0, 1, 2, 49],
    [46, 47, 48, 49],
    [12, 13, 14, 30],
  ]) {
    const places = movedApart(wanted, 11, 0, 50);
    places.forEach((place, at) => {
      assert(place >= 0 && place <= 50, `${wanted}: ${places}`);
      if (at) assert(place - places[at - 1] >= 11, `${wanted}: ${places}`);
    });
  }
});

test("no labels have no places", () => assert.deepEqual(movedApart([], 11, 0, 50), []));

test("a patch is told from others where its whole name finds no room", () => {
  assert.equal(nameIn("patch 2,13", 11), "patch 2,13");
  assert.equal(nameIn("patch 2,13", 7), "2,13");
  assert.equal(nameIn("unbelievable", 7), "unbeli…");
});

test("turned labels stand clear of one another, and of those that are chosen", () => {
  assert.deepEqual(withRoom(4, 20, [1, null]), [0, 1, 2, 3]);
  const kept = withRoom(30, 5, [7, null]);
  assert(kept.includes(7));
  for (const [at, place] of kept.entries()) if (at) assert((place - kept[at - 1]) * 5 >= 14, `${kept}`);
});
