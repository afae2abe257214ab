// What the library made of some graphs: tests/pages/golden has the file and what makes it.

import { readFileSync } from "node:fs";

const FILE = new URL("../../../../tests/pages/golden/graphs.json", import.meta.url);

/**
 * @typedef {object} Golden
 * @property {number} residual
 * @property {number[][][]} attention by layer, its heads fused
 * @property {number[][][]} rollout the last layer's, by the layer that it starts from
 * @property {number[][]} flow the last layer's
 * @property {string} packed
 * @property {string} some packed, the first two positions alone
 * @property {string} coarse packed, with few bits and steps
 * @property {string} fused the same without rollout
 * @property {number[][][]} halves
 * @property {number[][][][]} heads
 * @property {number[][]} entropy
 */

/** @type {[string, Golden][]} */
export const GRAPHS = Object.entries(JSON.parse(readFileSync(FILE, "utf8")));

/**
 * The greatest distance of numbers that should agree; NaN where they differ in number.
 *
 * @param {ArrayLike<number>} found
 * @param {number[]} expected
 */
export const distance = (found, expected) =>
  found.length === expected.length
    ? Math.max(0, ...expected.map((value, index) => Math.abs(value - found[index])))
    : NaN;
