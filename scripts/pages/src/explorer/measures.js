// What a head does in a sentence, as one number.

import * as d3 from "../shared/d3.js";

/**
 * Attention to a word, of the chosen position or the mean over all.
 *
 * @param {Side} side
 * @param {number} layer
 * @param {number} head
 * @param {number | null} word
 * @param {number | null} [position]
 */
export function toWord(side, layer, head, word, position = null) {
  if (word === null) return NaN;
  if (position !== null) return side.weight(layer, head, position, word);
  let sum = 0;
  for (let asking = 0; asking < side.size; asking += 1) sum += side.weight(layer, head, asking, word);
  return sum / side.size;
}

/**
 * @param {Side} side
 * @param {number} layer
 * @param {number} head
 * @param {number} by
 */
export function offset(side, layer, head, by) {
  const positions = d3.range(Math.max(0, -by), Math.min(side.size, side.size - by));
  return d3.mean(positions, (position) => side.weight(layer, head, position, position + by)) ?? NaN;
}

/**
 * @param {Matrix} matrix
 * @param {number} size
 */
export function entropyOf(matrix, size) {
  let sum = 0;
  for (const weight of matrix) if (weight > 0) sum -= weight * Math.log2(weight);
  return sum / size;
}
