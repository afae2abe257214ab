// Which fields of the state what is drawn follows from.

import { state } from "./state.js";

// What is chosen that the arcs follow from; a view is drawn again when something that it uses was chosen.
export const ARC_FIELDS = [
  "sentence",
  "models",
  "strength",
  "trace",
  "threshold",
  "position",
  "word",
  "from",
  "to",
  "heads",
  "special",
];
export const SEEN = ["sentence", "models", "layer", "position", "word", "special"];

/** @param {string[]} fields */
export const stateKey = (fields) => JSON.stringify(fields.map((name) => state[/** @type {keyof State} */ (name)]));
