import assert from "node:assert/strict";
import { test } from "node:test";
import { inflated, unsigned } from "./codes.js";

test("base 85 of any length is read as Python writes it", () => {
  // base64.b85encode with the signs of jaxflow.pages.numbers, of bytes that use all four signs that differ.
  /** @type {[string, number[]][]} */
  const known = [
    ["", []],
    ["c.", [121]],
    ["LcI", [66, 189]],
    ["@*xH", [242, 33, 6]],
    ["@Pv0_", [240, 132, 119, 98]],
    ["@bk+}b^", [240, 243, 203, 77, 118]],
    ["O~(fyQ56", [77, 199, 7, 32, 81, 21]],
    ["nh%Nc#@fm", [154, 15, 137, 242, 198, 218, 202]],
    [",3zhL5=H%Q", [227, 68, 187, 49, 18, 69, 253, 111]],
    ["|NsC000000", [255, 255, 255, 255, 0, 0, 0, 0]],
    [",./:,a.b/c:d,,.", [229, 232, 7, 115, 114, 197, 162, 160, 250, 95, 18, 52]],
  ];
  for (const [text, bytes] of known) assert.deepEqual([...unsigned(text)], bytes);
});

test("what Python deflated is inflated", async () => {
  assert.deepEqual([...(await inflated("c${NoVrB#*003P869"))], [1, 2, 3, 1, 2, 3, 1, 2, 3]);
});
