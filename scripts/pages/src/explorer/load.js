// Sentences with their numbers, which are unpacked when one is first looked at.

import { byId } from "../shared/dom.js";
import { inflated } from "./codes.js";
import { data } from "./page.js";
import { Side } from "./side.js";

const KEPT = 12; // sentences whose unpacked numbers are kept
const loaded = new Map();

/**
 * A block of numbers, once it is there: the page can be used while what stands behind in it is still being read.
 *
 * @param {string} id
 */
async function block(id) {
  while (document.readyState === "loading" && !byId(id)?.nextSibling) await new Promise((done) => setTimeout(done, 10));
  return byId(id).textContent;
}

/**
 * A sentence with its numbers: what the page knows of it, and one `Side` a model.
 *
 * @param {number} index
 * @returns {Promise<Sentence>}
 */
export async function load(index) {
  if (!loaded.has(index)) {
    const meta = data.sentences[index];
    const sides = meta.sides.map(async (side, number) => {
      const whole = number ? { ...meta.sides[0], ...side } : side;
      return new Side(
        whole,
        data.methods,
        meta.queries,
        meta.kept,
        await inflated(await block(`numbers-${index}-${number}`)),
        data.models[number],
      );
    });
    loaded.set(
      index,
      Promise.all(sides).then((found) => ({ ...meta, index, sides: found })),
    );
    if (loaded.size > KEPT) loaded.delete(loaded.keys().next().value);
  }
  return loaded.get(index);
}
