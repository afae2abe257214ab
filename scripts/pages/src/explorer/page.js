// What is said of each sentence at once, and what follows from it for the whole page.

import { byId } from "../shared/dom.js";

/** @type {PageData} */
export const data = JSON.parse(byId("data").textContent);
export const PAIR = data.models.length === 2;
// What an entry of the list is called.
export const ENTRY = data.sentences[0]?.sides[0].picture ? "image" : "sentence";

// Of two models the deeper one's layers, and the most heads; a side has its own.
export const LAYERS = Math.max(...data.models.map(({ layers }) => layers)),
  HEADS = Math.max(...data.models.map(({ heads }) => heads));

export const SAME_DEPTH = data.models.every(({ layers }) => layers === LAYERS),
  SAME_SHAPE = SAME_DEPTH && data.models.every(({ heads }) => heads === HEADS);
