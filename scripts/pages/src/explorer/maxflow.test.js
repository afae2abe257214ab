import assert from "node:assert/strict";
import { test } from "node:test";
import { GRAPHS } from "../testing/golden.js";
import { mixingOf } from "./graph.js";
import { maximumFlow } from "./maxflow.js";

const NEAR = 1e-6;

/**
 * Sum of a matrix's row, or of its column.
 *
 * @param {Float64Array} matrix
 * @param {number} size
 * @param {number} index
 * @param {boolean} row
 */
function sumOf(matrix, size, index, row) {
  let sum = 0;
  for (let other = 0; other < size; other += 1) sum += matrix[row ? index * size + other : other * size + index];
  return sum;
}

for (const [name, { residual, attention, flow }] of GRAPHS) {
  const size = flow.length;
  const mixings = attention.map((layer) => mixingOf(Float64Array.from(layer.flat()), size, residual));

  test(`${name}: every flow has the library's value, fits its arcs and is lost nowhere`, () => {
    for (let target = 0; target < size; target += 1) {
      for (let word = 0; word < size; word += 1) {
        const { value, arcs, nodes } = maximumFlow(mixings, size, word, target);
        assert(Math.abs(value - flow[target][word]) < NEAR, `${value} is not ${flow[target][word]}`);
        arcs.forEach((arc, step) => {
          assert(arc.every((amount, index) => amount >= 0 && amount <= mixings[step][index] + 1e-9));
          for (let position = 0; position < size; position += 1) {
            const into = sumOf(arc, size, position, true);
            const outOf = step + 1 < arcs.length ? sumOf(arcs[step + 1], size, position, false) : into;
            assert(Math.abs(into - outOf) < 1e-9);
            assert(Math.abs(nodes[step + 1][position] - into) < 1e-9);
            if (step === 0 && position !== word) assert.equal(sumOf(arc, size, position, false), 0);
          }
        });
        assert(Math.abs(nodes[arcs.length][target] - value) < 1e-9);
      }
    }
  });
}
