// What is said of each sentence at once, and what follows from it for the whole page.

import { byId } from "../shared/dom.js";
import { unitsOf } from "../shared/units.js";

/** @type {PageData} */
export const data = JSON.parse(byId("data").textContent);
export const PAIR = data.models.length === 2;
export const IMAGES = Boolean(data.sentences[0]?.sides[0].picture);
// A text of the page's own, in words or in patches. What the data say never goes through here.
export const inUnits = unitsOf(IMAGES);

// Of two models the deeper one's layers, and the most heads; a side has its own.
export const LAYERS = Math.max(...data.models.map(({ layers }) => layers)),
  HEADS = Math.max(...data.models.map(({ heads }) => heads));

export const SAME_DEPTH = data.models.every(({ layers }) => layers === LAYERS),
  SAME_SHAPE = SAME_DEPTH && data.models.every(({ heads }) => heads === HEADS);
