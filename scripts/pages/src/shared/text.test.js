import assert from "node:assert/strict";
import { test } from "node:test";
import { named, sharedBeginning, short, shown } from "./text.js";

test("characters without a shape, and those that turn the direction around, are named", () => {
  assert.equal(shown("a\u202eb\u0000\u2028"), "a⟨U+202E⟩b⟨U+0000⟩⟨U+2028⟩");
  assert.equal(shown("a\tb\r\nc"), "a b c");
  assert.equal(named("\ufeff"), "U+FEFF");
  // Joiners of emoji and of scripts that need them, marks, and letters beyond 16 bits stay.
  for (const text of ["👩‍🔬", "क्‍ष", "e\u0301", "𝔘", "שָׁלוֹם"]) assert.equal(shown(text), text);
});

test("a long text is cut between characters", () => {
  assert.equal(short("abcdef", 6), "abcdef");
  assert.equal(short("abcdefg", 6), "abcde…");
  assert.equal(short("𝔘𝔘𝔘𝔘", 3), "𝔘𝔘…");
});

test("what all texts begin with is counted in whole words, where it is long and not all of a text", () => {
  const system = "system Answer briefly. user ";
  assert.equal(sharedBeginning([`${system}What is it?`, `${system}Where?`, `${system}Who?`]), system.length);
  assert.equal(sharedBeginning([`${system}What`, `${system}`]), 23);
  assert.equal(sharedBeginning(["The key", "The keys"]), 0);
  assert.equal(sharedBeginning([`${system}What`]), 0);
  assert.equal(sharedBeginning([]), 0);
});
