// Where in a sentence the searched word stands.

import { data } from "./page.js";
import { state } from "./state.js";

/**
 * Tokens of a sentence whose written form begins or goes on with what is searched for, by the pieces they cover.
 *
 * @param {number} index
 * @param {string} wanted
 */
export function tokensFound(index, wanted) {
  const { pieces, source } = data.sentences[index].sides[0];
  /** @type {number[]} */
  const starts = [];
  let text = "";
  pieces.forEach(([gap, surface], token) => {
    text += gap;
    starts.push(text.length);
    if (source[token] >= 0) text += surface;
  });
  /** @type {number[]} */
  const found = [];
  const low = text.toLowerCase();
  for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, at + wanted.length)) {
    const token = starts.findLastIndex((start, place) => start <= at && source[place] >= 0);
    if (token >= 0 && !found.includes(token)) found.push(token);
  }
  return found;
}

export const wanted = () => state.search.trim().toLowerCase();

/**
 * The first place of the searched word in a sentence, to be traced at once; without a search nothing changes.
 *
 * @param {number} index
 */
export function wordFound(index) {
  const found = wanted() ? tokensFound(index, wanted()) : [];
  return found.length ? { word: found[0] } : {};
}
