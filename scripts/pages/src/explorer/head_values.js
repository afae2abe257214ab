// A number of each head, by a measure.

import { floatsOf } from "../shared/base64.js";
import * as d3 from "../shared/d3.js";
import { entropyOf, offset, toWord } from "./measures.js";
import { data, HEADS } from "./page.js";
import { state } from "./state.js";

// A head's number by each measure, for one side.
/** @type {Record<string, (side: Side, layer: number, head: number) => number>} */
const HEAD_VALUES = {
  "to the word": (side, layer, head) =>
    toWord(side, layer, head, state.word, state.asked === "position" ? state.position : null),
  "from the position": (side, layer, head) =>
    d3.max(d3.range(side.size), (token) => side.weight(layer, head, state.position, token)) ?? NaN,
  "to itself": (side, layer, head) => offset(side, layer, head, 0),
  "to the previous": (side, layer, head) => offset(side, layer, head, -1),
  "to the next": (side, layer, head) => offset(side, layer, head, 1),
  "to special tokens": (side, layer, head) =>
    d3.sum(side.source, (source, token) => (source < 0 ? toWord(side, layer, head, token) : 0)),
  entropy: (side, layer, head) => entropyOf(side.head(layer, head), side.size),
};

/**
 * Numbers of all heads, [layer][head], by a measure, a table a model; change has one for both.
 *
 * @param {Context} context
 * @param {string} measure
 * @returns {number[][][]}
 */
export function headValues(context, measure) {
  /**
   * @param {Side} side
   * @param {(layer: number, head: number) => number} value
   */
  const table = (side, value) =>
    d3.range(side.layers).map((layer) => d3.range(side.heads).map((head) => value(layer, head)));
  if (measure === "change")
    return [table(context.sides[0], (layer, head) => context.sentence.change?.[layer * HEADS + head] ?? NaN)];
  return context.sides.map((side, at) => {
    if (!data.measures.includes(measure)) return table(side, (layer, head) => HEAD_VALUES[measure](side, layer, head));
    const found = headMeasure(context.numbers[at], measure);
    return table(side, (layer, head) => found[layer * side.heads + head]);
  });
}

const measureCache = new Map();

/**
 * @param {number} number
 * @param {string} name
 */
function headMeasure(number, name) {
  const key = `${number} ${name}`;
  if (!measureCache.has(key)) measureCache.set(key, floatsOf(data.models[number].measures[name]));
  return measureCache.get(key);
}
