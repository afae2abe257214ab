// Room for labels.

import { short } from "../shared/text.js";

// Pixels between labels in a row that are turned by 52 degrees or more: as high as a line of them is.
const TURNED = 14;

/**
 * A token's name, as much of it as has room; of a patch its row and column, which tell it from others.
 *
 * @param {string} word
 * @param {number} most
 */
export const nameIn = (word, most) => short(word.length > most ? word.replace(/^patch (?=\d+,\d+$)/, "") : word, most);

/**
 * Which of a row of turned labels find room: those that are chosen, and every so many that stand clear of these.
 *
 * @param {number} size
 * @param {number} apart pixels between two neighbours
 * @param {(number | null)[]} chosen
 * @param {number} [needs] pixels that a label takes
 * @returns {number[]}
 */
export function withRoom(size, apart, chosen, needs = TURNED) {
  const every = Math.ceil(needs / Math.max(0.1, apart));
  const clear = (/** @type {number} */ place) =>
    chosen.every((other) => other === null || Math.abs(other - place) >= every);
  return Array.from({ length: size }, (_, place) => place).filter(
    (place) => chosen.includes(place) || (place % every === 0 && clear(place)),
  );
}

/**
 * Places near those wanted, at least a gap apart and within bounds as far as there is room; the order stays.
 *
 * @param {number[]} wanted ascending
 * @param {number} gap
 * @param {number} low
 * @param {number} high
 * @returns {number[]}
 */
export function movedApart(wanted, gap, low, high) {
  const places = [...wanted];
  // Downward, each makes room for the next; then upward again, as far as the end pushes them back.
  for (let at = 0; at < places.length; at += 1) places[at] = Math.max(places[at], at ? places[at - 1] + gap : low);
  for (let at = places.length - 1; at >= 0; at -= 1)
    places[at] = Math.min(places[at], at + 1 < places.length ? places[at + 1] - gap : high);
  return places;
}
