import assert from "node:assert/strict";
import { test } from "node:test";
import { csvText } from "./csv.js";

test("numbers keep all their digits, and what is missing is empty", () => {
  const row = [1 / 3, -1e-21, 0, 3, null, undefined, Number.NaN];
  const [one, small, zero, three, ...missing] = csvText([row]).trimEnd().split(",");
  assert.deepEqual([one, small, zero, three].map(Number), row.slice(0, 4));
  assert.deepEqual(missing, ["", "", ""]);
});

test("a text that begins a formula gets a mark in front, blanks before it or not", () => {
  for (const text of ["=1+1", "+a", "-1+cmd", "@SUM(A1)", "  =1", "＝1", "-", "--1"])
    assert.equal(csvText([[text]]), `'${text}\n`);
  assert.equal(csvText([["\t=1"]]), `"'\t=1"\n`);
});

test("other texts stay, numbers among them, and are quoted where a reader would cut them", () => {
  for (const text of ["key", "a=b", "1-2", "-0.5", "+3", "-1e-7", "-.5", "it's"])
    assert.equal(csvText([[text]]), `${text}\n`);
  for (const text of ["a,b", "a;=1", "a|b", "a\tb", "two\nlines"]) assert.equal(csvText([[text]]), `"${text}"\n`);
  assert.equal(csvText([['say "so"', 1]]), '"say ""so""",1\n');
});
