import assert from "node:assert/strict";
import { test } from "node:test";
import { movedApart } from "./labels.js";

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
