import assert from "node:assert/strict";
import test from "node:test";
import { unitsOf } from "./units.js";

test("pages of images speak of patches and images", () => {
  const inUnits = unitsOf(true);
  for (const [text, expected] of [
    ["a word: trace it", "a patch: trace it"],
    ["Words outside, a sentence's words within", "Patches outside, an image's patches within"],
    ["A sentence, the sentences", "An image, the images"],
    ["a page of the same texts", "a page of the same images"],
    ["Sort the Sentences", "Sort the Images"],
    ["what the crosswords of the wordy swordfish say", "what the crosswords of the wordy swordfish say"],
  ])
    assert.equal(inUnits(text), expected);
});

test("pages of texts say what is written", () => {
  assert.equal(unitsOf(false)("a word of a sentence"), "a word of a sentence");
});
