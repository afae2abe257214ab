// An example's numbers. Nothing here touches the page.

import { bytesOf, floatsOf } from "../shared/base64.js";

// Values nearer than this count as tied: flows are certified to it, and attention in float32 is not worth more.
const TIE = 1e-6;

/**
 * One example with its numbers unpacked: value(method, layer, query, token), all by index.
 *
 * @param {ReportExample} example
 * @param {string[]} methods
 * @returns {Unpacked}
 */
export function unpack(example, methods) {
  const size = { query: example.queries.length, token: example.tokens.length };
  /** @type {Record<string, Float32Array>} */
  const values = {};
  for (const method of methods) values[method] = floatsOf(example.values[method]);
  // Of all layers and positions: one without a negative value is drawn by the same scale as the others.
  const signed = new Set(methods.filter((method) => values[method].some((value) => value < 0)));
  const certified = example.certified ? bytesOf(example.certified) : null;
  /** @type {Record<string, Uint8Array>} */
  const saturated = {};
  for (const [method, packed] of Object.entries(example.saturated)) if (packed) saturated[method] = bytesOf(packed);
  const at = (/** @type {number} */ layer, /** @type {number} */ query, /** @type {number} */ token) =>
    (layer * size.query + query) * size.token + token;
  return {
    example,
    row: (method, layer, query) => values[method].subarray(at(layer, query, 0), at(layer, query + 1, 0)),
    certified: (layer, query, token) => !certified || certified[at(layer, query, token)] === 1,
    hasSign: (method) => signed.has(method),
    saturated: (method, layer, query, token) => saturated[method]?.[at(layer, query, token)] === 1,
    ranks: new Map(),
  };
}

/**
 * What a method tells of a row: how many tokens it tells apart, and where these are less than half, a method to look at
 * instead; null where it tells all.
 *
 * @param {Unpacked} unpacked
 * @param {string} method
 * @param {number} layer
 * @param {number} query
 * @param {string[]} methods
 * @returns {{ apart: number, of: number, instead: string | null } | null}
 */
export function toldApart(unpacked, method, layer, query, methods) {
  const { tokens, saturated } = unpacked.example;
  const count = (/** @type {string} */ name) =>
    tokens.filter((_, token) => !unpacked.saturated(name, layer, query, token)).length;
  const apart = count(method);
  if (apart === tokens.length) return null;
  if (2 * apart >= tokens.length) return { apart, of: tokens.length, instead: null };
  const flows = methods.filter((name) => name in saturated);
  const better = flows.reduce((best, name) => (count(name) > count(best) ? name : best), method);
  const instead = count(better) > apart ? better : methods.includes("rollout") ? "rollout" : null;
  return { apart, of: tokens.length, instead };
}

/**
 * Rank of each token in a row, from 1, and how many others tie with it.
 *
 * @param {Unpacked} unpacked
 * @param {string} method
 * @param {number} layer
 * @param {number} query
 */
export function ranks(unpacked, method, layer, query) {
  const key = `${method} ${layer} ${query}`;
  if (!unpacked.ranks.has(key)) {
    const row = unpacked.row(method, layer, query);
    const sorted = Float32Array.from(row).sort();
    // How many entries are at most x.
    const below = (/** @type {number} */ x) => {
      let low = 0;
      let high = sorted.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (sorted[middle] <= x) low = middle + 1;
        else high = middle;
      }
      return low;
    };
    const found = Array.from(row, (value) => ({
      rank: sorted.length - below(value + TIE) + 1,
      ties: below(value + TIE) - below(value - TIE) - 1,
    }));
    unpacked.ranks.set(key, found);
  }
  return unpacked.ranks.get(key) ?? [];
}

/**
 * The values of a row that stand for no shade and for full shade.
 *
 * @param {Unpacked} unpacked
 * @param {string} method
 * @param {number} layer
 * @param {number} query
 * @param {ReportState} state
 * @returns {[number, number]}
 */
export function bounds(unpacked, method, layer, query, state) {
  if (state.scale === "one") return [0, 1];
  const layers = state.scale === "method" ? unpacked.example.layers.map((_, index) => index) : [layer];
  const { source, parts, queries } = unpacked.example;
  // A decoder's first token gets what attention has no use for, and a position keeps most of itself: either would leave
  // the others without shade.
  const beyond = parts === null ? [] : [parts.sink, queries[query]];
  let smallest = Infinity;
  let largest = 0;
  for (const index of layers) {
    unpacked.row(method, index, query).forEach((value, token) => {
      if (!state.special && (source[token] < 0 || beyond.includes(token))) return;
      smallest = Math.min(smallest, value);
      // By size: a method with a sign has full shade on either side of 0.
      largest = Math.max(largest, Math.abs(value));
    });
  }
  if (state.scale === "range" && smallest >= 0 && largest - smallest > TIE) return [smallest, largest];
  return [0, largest || 1];
}

/**
 * @param {number} value
 * @param {[number, number]} options
 */
export const shareOf = (value, [low, high]) => {
  const share = (value - low) / (high - low);
  // Below the smallest of the scale there is no shade: only what is negative speaks against the number.
  return value < 0 ? share : Math.max(0, share);
};
