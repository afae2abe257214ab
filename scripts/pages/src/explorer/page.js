// What is said of each sentence at once, and what follows from it for the whole page.

import { byId } from "../shared/dom.js";

/** @type {PageData} */
export const data = JSON.parse(byId("data").textContent);
export const PAIR = data.models.length === 2;
// What an entry of the list is called.
const IMAGES = Boolean(data.sentences[0]?.sides[0].picture);
export const ENTRY = IMAGES ? "image" : "sentence";

/**
 * A text of the page's own, which says "word", as it is for images: "patch". What the data say never goes through here.
 *
 * @param {string} text
 */
export const inUnits = (text) =>
  IMAGES ? text.replace(/\b([Ww])ord(s?)\b/g, (_, w, s) => `${w === "W" ? "P" : "p"}atch${s && "es"}`) : text;

// Of two models the deeper one's layers, and the most heads; a side has its own.
export const LAYERS = Math.max(...data.models.map(({ layers }) => layers)),
  HEADS = Math.max(...data.models.map(({ heads }) => heads));

export const SAME_DEPTH = data.models.every(({ layers }) => layers === LAYERS),
  SAME_SHAPE = SAME_DEPTH && data.models.every(({ heads }) => heads === HEADS);
