// What is chosen, all of it in one place, and in the page's address, so that a finding can be shared.

import { data, HEADS, LAYERS, PAIR } from "./page.js";

/**
 * @param {number} low
 * @param {number} high
 */
const within = (low, high) => (/** @type {string} */ text) =>
  /^\d+$/.test(text) && Number(text) >= low && Number(text) <= high ? Number(text) : undefined;
/** @param {...string} names */
export const among =
  (...names) =>
  (/** @type {string} */ text) =>
    names.includes(text) ? text : undefined;
/** @param {string} text */
const anything = (text) => text;
export const MODES = PAIR ? ["both", "diff", "a", "b"] : ["a"];

/** @type {Record<string, Field>} */
export const FIELDS = {
  sentence: ["s", 0, within(0, data.sentences.length - 1)],
  // A decoder's last position: `fit` finds it.
  position: ["p", data.last ? Infinity : 0, within(0, 1e5)],
  word: ["w", null, within(0, 1e5)],
  layer: ["l", data.first.layer ?? LAYERS, within(1, LAYERS)],
  from: ["from", data.first.from ?? 1, within(1, LAYERS)],
  to: ["to", data.first.to ?? LAYERS, within(1, LAYERS)],
  head: ["h", data.first.head ?? 0, within(0, HEADS)], // 0 is all that are chosen, fused
  heads: ["heads", data.first.heads ?? "", (text) => (/^(\d+\.\d+_?)*$/.test(text) ? text : undefined)],
  models: ["m", MODES[0], among(...MODES)],
  strength: ["by", "share", among("share", "attention", "flow")],
  trace: ["trace", "back", among("back", "forward", "both", "all")],
  threshold: [
    "over",
    null,
    (text) => (Number(text) >= 0 && Number(text) <= 1 && text !== "" ? Number(text) : undefined),
  ],
  method: [
    "method",
    data.lead ?? (data.methods.includes("rollout") ? "rollout" : data.methods[0]),
    among(...data.methods),
  ],
  special: ["special", "", among("", "1")],
  sort: ["sort", "order", among("order", "change", "moved", "loss", "confidence", "prediction")],
  search: ["q", "", anything],
  cell: ["cell", "", anything],
  theme: ["theme", "", among("", "light", "dark")],
};

export const state = /** @type {State} */ ({});
// The same, by names that are not known here.
const values = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (state));

/**
 * Adds fields of the state, each as at first; views bring their own.
 *
 * @param {Record<string, Field>} fields
 */
export function addFields(fields) {
  for (const [name, field] of Object.entries(fields)) {
    FIELDS[name] = field;
    values[name] = field[1];
  }
}

addFields(FIELDS);

/**
 * What is chosen, and what follows from it: a word that is chosen is traced to the position, and when none is left,
 * the position is traced back again.
 *
 * @param {Partial<State>} changes
 */
export function choose(changes) {
  const moves = changes.sentence !== undefined && changes.sentence !== state.sentence && !("position" in changes);
  Object.assign(state, changes);
  // Another sentence of a decoder opens at its own last position, which `fit` finds.
  if (data.last && moves) state.position = Infinity;
  if (!("word" in changes) || "trace" in changes) return;
  if (state.word !== null && state.trace === "back") state.trace = "both";
  else if (state.word === null && state.trace === "both") state.trace = "back";
}

export function toHash() {
  const parts = new URLSearchParams();
  for (const [name, [short, first]] of Object.entries(FIELDS)) {
    if (values[name] !== first && values[name] !== null) parts.set(short, String(values[name]));
  }
  return parts.toString();
}

/**
 * Values of an address; what is not in it, or not understood, is as at first.
 *
 * @param {string} hash
 * @returns {Partial<State>}
 */
export function fromHash(hash) {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  /** @type {Record<string, unknown>} */
  const found = {};
  for (const [name, [short, first, read]] of Object.entries(FIELDS)) {
    found[name] = parts.has(short) ? (read(parts.get(short) ?? "") ?? first) : first;
  }
  return found;
}

/**
 * Brings what is chosen into what there is, for a sentence.
 *
 * @param {Sentence} sentence
 */
export function fit(sentence) {
  const size = sentence.sides[0].size;
  if (state.position >= size) state.position = data.last ? size - 1 : 0;
  if (state.word !== null && state.word >= size) state.word = null;
  if (state.from > state.to) state.to = state.from;
  if (!headsChosen()) state.heads = "";
}

// Heads by layer (from 0) where not all are chosen, else null. A layer none of whose heads is chosen keeps them all.
export function headsChosen() {
  if (!state.heads) return null;
  const found = new Map();
  for (const name of state.heads.split("_").filter(Boolean)) {
    const [layer, head] = name.split(".").map(Number);
    if (layer < 1 || layer > LAYERS || head < 1 || head > HEADS) continue;
    found.set(layer - 1, [...(found.get(layer - 1) ?? []), head - 1]);
  }
  return found.size ? found : null;
}

export const headNames = () => new Set(state.heads.split("_").filter(Boolean));
