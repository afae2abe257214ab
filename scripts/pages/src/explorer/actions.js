// What clicks and keys choose.

import { now, set } from "./app.js";
import { headNames, state } from "./state.js";

/**
 * A click: on a word it is traced; on a position above, asked for; on an arc, both; on a head or layer, it is shown.
 * With `more` a word's own position is asked for, and a head is chosen or left out.
 *
 * @param {Is} is
 * @param {boolean} more
 */
export function pick(is, more) {
  if (is.head !== undefined) return more ? toggleHead(is.layer ?? 0, is.head) : set({ layer: is.layer, head: is.head });
  if (is.cell) return set({ cell: state.cell === is.cell ? "" : is.cell });
  const changes = {};
  if (is.layer) changes.layer = is.layer;
  if (is.word !== undefined && more) return set({ position: is.word });
  if (is.word !== undefined) changes.word = state.word === is.word && is.position === undefined ? null : is.word;
  if (is.position !== undefined) changes.position = is.position;
  return set(changes);
}

/**
 * @param {number} layer
 * @param {number} head
 */
function toggleHead(layer, head) {
  const names = headNames();
  const name = `${layer}.${head}`;
  if (!names.delete(name)) names.add(name);
  set({ heads: [...names].sort().join("_") });
}

// Keeps the heads of other layers as they are.
export function onlyShown() {
  if (!state.head) return set({ heads: "" });
  const others = [...headNames()].filter((name) => !name.startsWith(`${state.layer}.`));
  return set({ heads: [...others, `${state.layer}.${state.head}`].sort().join("_") });
}

/**
 * Chooses the next of some values of a field.
 *
 * @template {keyof State} F
 * @param {F} fieldName
 * @param {State[F][]} values
 */
export const cycle = (fieldName, values) => () => {
  const next = values[(values.indexOf(state[fieldName]) + 1) % values.length];
  return set(/** @type {Partial<State>} */ ({ [fieldName]: next }));
};
/**
 * @param {"layer" | "position" | "word" | "head"} fieldName
 * @param {number} by
 * @param {number} low
 * @param {() => number} high
 */
export const stepped = (fieldName, by, low, high) => () =>
  set({ [fieldName]: Math.min(high(), Math.max(low, (state[fieldName] ?? low - (by > 0 ? 1 : -1)) + by)) });
export const last = () => now().size - 1;
