import assert from "node:assert/strict";
import { test } from "node:test";
import { alike, nothing, shade } from "./scale.js";

/** @param {number} part */
const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);

/** @param {string} colour */
function luminance(colour) {
  const short = colour.startsWith("#") ? [...colour.slice(1)].map((digit) => 17 * Number.parseInt(digit, 16)) : null;
  const [red, green, blue] = short ?? (colour.match(/\d+/g) ?? []).map(Number);
  return 0.2126 * linear(red / 255) + 0.7152 * linear(green / 255) + 0.0722 * linear(blue / 255);
}

for (const dark of [false, true]) {
  test(`the ${dark ? "dark" : "light"} scale changes evenly, and what is written on it can be read`, () => {
    for (const sign of [1, -1]) {
      const steps = Array.from({ length: 257 }, (_, step) => shade((sign * step) / 256, dark));
      const levels = steps.map(({ background }) => luminance(background));
      for (let step = 8; step < levels.length; step += 8) assert(dark === levels[step] > levels[step - 8]);
      for (const { background, color } of steps) {
        const [low, high] = [luminance(background), luminance(color)].sort((one, other) => one - other);
        assert((high + 0.05) / (low + 0.05) >= 4.5);
      }
    }
    assert.notDeepEqual(shade(-1, dark), shade(1, dark));
    assert.deepEqual(shade(-2, dark), shade(-1, dark));
    assert.deepEqual(shade(2, dark), shade(1, dark));
  });
}

test("words that are nearly alike are said to be", () => {
  const all = () => true;
  assert.equal(alike([1, 0.97, 0.99], all), "all words lie within 3 % here");
  assert.equal(alike([1, 0.9995], all), "all words lie within 0.05 % here");
  for (const row of [[1, 0.9], [1, 1], [0, 0], [1], [], [-1, -0.99]]) assert.equal(alike(row, all), "");
  // The position itself and special tokens are no words.
  assert.equal(
    alike([9, 1, 0.99, 5], (token) => token === 1 || token === 2),
    "all words lie within 1 % here",
  );
});

test("a flow of no word is said to be none", () => {
  const first = (/** @type {number} */ token) => token > 0;
  for (const row of [
    [9, 0, 0],
    [0, 0],
  ])
    assert.equal(nothing(row, first), "nothing flows here from any word");
  for (const row of [[0, 1e-9], [0], []]) assert.equal(nothing(row, first), "");
});
