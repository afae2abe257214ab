// One model's numbers of one sentence. Layers and heads count from 0 here; `position` and `token` are indices.

import { shown } from "../shared/text.js";
import { HALF, halves, looked, squares } from "./codes.js";

export class Side {
  /**
   * @param {SideMeta} meta
   * @param {string[]} methods
   * @param {Record<string, number[]>} queries
   * @param {Kept} kept
   * @param {Uint8Array} packed
   * @param {{ layers: number, heads: number }} options
   */
  constructor(meta, methods, queries, kept, packed, { layers, heads }) {
    this.layers = layers;
    this.heads = heads;
    this.tokens = meta.tokens;
    this.source = meta.source;
    this.pieces = meta.pieces;
    this.joined = meta.joined;
    this.prediction = meta.prediction;
    this.probabilities = meta.probabilities;
    this.loss = meta.loss;
    this.scales = meta.scales;
    this.told = meta.apart;
    this.carried = meta.carried;
    this.picture = meta.picture;
    this.size = meta.tokens.length;
    this.words = meta.tokens.map(shown);
    this.queries = queries;
    this.every = Array.from(meta.tokens, (_, position) => position);
    /** @type {Record<string, Uint16Array>} */
    this.values = {};
    let start = 0;
    // What is the mean of the heads is not kept beside them.
    for (const method of methods.filter((name) => !kept.fused.includes(name))) {
      const queries = this.asked(method).length;
      this.values[method] = halves(packed.subarray(start), kept.bits, layers, queries, this.size);
      start += 2 * layers * queries * this.size;
    }
    // [layer, head, token, position]
    this.attention = packed.subarray(start);
    this.squares = squares(kept.steps);
    /** @type {Map<string, Row>} */
    this.matrices = new Map();
  }

  /**
   * Positions that a method was asked for.
   *
   * @param {string} method
   * @returns {number[]}
   */
  asked(method) {
    return this.queries[method] ?? this.every;
  }

  /**
   * What each token is worth to a position after a layer; null where the method was not asked for it.
   *
   * @param {string} method
   * @param {number} layer
   * @param {number} position
   * @returns {Row | null}
   */
  row(method, layer, position) {
    const asked = this.asked(method);
    const row = this.queries[method] ? asked.indexOf(position) : position;
    if (row < 0) return null;
    if (!this.values[method]) return this.matrix(method, layer).slice(row * this.size, (row + 1) * this.size);
    return this.scaled(method, looked(this.values[method], HALF, (layer * asked.length + row) * this.size, this.size));
  }

  /**
   * Numbers as the model has them, in place.
   *
   * @param {string} method
   * @param {Row} row
   * @returns {Row}
   */
  scaled(method, row) {
    const scale = this.scales[method];
    if (scale) for (let index = 0; index < row.length; index += 1) row[index] *= scale;
    return row;
  }

  /**
   * How many tokens a flow tells apart, or null where it tells all, or is none.
   *
   * @param {string} method
   * @param {number} layer
   * @param {number} position
   */
  apart(method, layer, position) {
    const query = this.queries[method] ? this.asked(method).indexOf(position) : position;
    const apart = this.told[method]?.[layer]?.[query];
    return apart === undefined || apart === this.size ? null : apart;
  }

  /**
   * A method's matrix of a layer, a row a position (NaN where it was not asked for).
   *
   * @param {string} method
   * @param {number} layer
   * @returns {Row}
   */
  matrix(method, layer) {
    return this.kept(`${method} ${layer}`, () => {
      if (!this.values[method])
        return this.mean(
          layer,
          Array.from({ length: this.heads }, (_, head) => head),
        );
      if (!this.queries[method])
        return this.scaled(method, looked(this.values[method], HALF, layer * this.size ** 2, this.size ** 2));
      const found = new Float32Array(this.size ** 2).fill(NaN);
      for (const position of this.asked(method))
        found.set(this.row(method, layer, position) ?? [], position * this.size);
      return found;
    });
  }

  /**
   * Attention of one head: a row a position.
   *
   * @param {number} layer
   * @param {number} head
   * @returns {Row}
   */
  head(layer, head) {
    const area = this.size ** 2;
    const start = (layer * this.heads + head) * area;
    return this.kept(`head ${layer} ${head}`, () => {
      const found = new Float32Array(area);
      for (let token = 0; token < this.size; token += 1)
        for (let position = 0; position < this.size; position += 1)
          found[position * this.size + token] = this.squares[this.attention[start + token * this.size + position]];
      return found;
    });
  }

  /**
   * @param {number} layer
   * @param {number} head
   * @param {number} position
   * @param {number} token
   */
  weight(layer, head, position, token) {
    return this.squares[this.attention[((layer * this.heads + head) * this.size + token) * this.size + position]];
  }

  /**
   * The mean of some heads of a layer.
   *
   * @param {number} layer
   * @param {number[]} heads
   * @returns {Row}
   */
  mean(layer, heads) {
    return this.kept(`mean ${layer} ${heads}`, () => {
      const sum = new Float32Array(this.size ** 2);
      for (const head of heads) {
        const weights = this.head(layer, head);
        for (let index = 0; index < sum.length; index += 1) sum[index] += weights[index] / heads.length;
      }
      return sum;
    });
  }

  /**
   * @param {string} key
   * @param {() => Row} makeIt
   * @returns {Row}
   */
  kept(key, makeIt) {
    const known = this.matrices.get(key) ?? makeIt();
    this.matrices.set(key, known);
    return known;
  }
}
