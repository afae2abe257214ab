// In a notebook's frame: what is chosen is told to whoever holds the frame, and may be chosen from there.

import { FIELDS, state } from "./state.js";

/** @type {["sentence", "position", "word", "layer", "head"]} */
const NAMES = ["sentence", "position", "word", "layer", "head"];
let told = "";

/** Tells what is chosen now; the threshold also where the page found it itself.
 *
 * @param {{ threshold: number }} context
 */
export function tell(context) {
  if (window.parent === window) return;
  const chosen = { ...Object.fromEntries(NAMES.map((name) => [name, state[name]])), threshold: context.threshold };
  const words = JSON.stringify(chosen);
  if (words === told) return;
  told = words;
  // The frame has no origin of its own; these are numbers of what is looked at.
  window.parent.postMessage({ jaxflow: chosen }, "*");
}

/**
 * Chooses what the holder of the frame asks for; what is not understood stays as it is.
 *
 * @param {(changes: Partial<State>) => unknown} set
 */
export function listen(set) {
  window.addEventListener("message", (event) => {
    if (window.parent === window || event.source !== window.parent) return;
    const changes = understood(event.data?.jaxflow);
    if (Object.keys(changes).length) set(changes);
  });
}

/**
 * @param {unknown} asked
 * @returns {Partial<State>}
 */
export function understood(asked) {
  /** @type {Record<string, unknown>} */
  const changes = {};
  if (asked === null || typeof asked !== "object") return {};
  for (const [name, value] of Object.entries(asked)) {
    const known = name === "threshold" || NAMES.includes(/** @type {any} */ (name));
    if (!known) continue;
    const [, first, read] = FIELDS[name];
    const found = value === null ? null : read(String(value));
    // Nothing is chosen where that is how the page begins.
    if (found !== undefined && (found !== null || first === null)) changes[name] = found;
  }
  return changes;
}
