// The search for a word, occurrence by occurrence.

import { byId } from "../shared/dom.js";
import { set } from "./app.js";
import { listed } from "./list.js";
import { tokensFound, wanted } from "./matches.js";
import { state } from "./state.js";

/**
 * The next (or previous) occurrence of the searched word, in this sentence or another.
 *
 * @param {number} by
 */
export function stepFound(by) {
  if (!wanted()) return byId("search").focus();
  const all = listed().flatMap((index) => tokensFound(index, wanted()).map((word) => ({ sentence: index, word })));
  if (!all.length) return undefined;
  const at = all.findIndex(({ sentence, word }) => sentence === state.sentence && word === state.word);
  const next =
    at < 0
      ? Math.max(
          0,
          all.findIndex(({ sentence }) => sentence === state.sentence),
        )
      : (at + by + all.length) % all.length;
  byId("found").textContent = `${next + 1} of ${all.length}`;
  return set(all[next]);
}
