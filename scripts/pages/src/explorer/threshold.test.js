import assert from "node:assert/strict";
import { test } from "node:test";
import { fromSlider, toSlider } from "./threshold.js";

test("the slider's places come back, its end is nothing, and thresholds rise along it", () => {
  const places = Array.from({ length: 101 }, (_, place) => place);
  assert.equal(fromSlider(0), 0);
  assert.equal(fromSlider(100), 1);
  const thresholds = places.map(fromSlider);
  assert(thresholds.every((threshold, place) => !place || threshold > thresholds[place - 1]));
  // Two digits of a threshold are enough to find its place again, give or take one.
  for (const place of places) assert(Math.abs(toSlider(fromSlider(place)) - place) <= 1);
  assert.equal(toSlider(1e-9), 1);
});
