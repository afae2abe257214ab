// The words that a prediction rests on, as a line.

import { isolated, make } from "./dom.js";

/**
 * @param {Carried} carried
 * @param {(text: string) => string} inUnits
 * @returns {(Node | string)[]}
 */
export function carriedParts({ method, target, words, tied }, inUnits) {
  const how = make("span", { className: "score" }, `by ${method}, last layer`);
  if (tied > 1) return [inUnits(`Carried by no one word: ${tied} words tie`), how];
  const subject = target === null ? ["Carried by"] : [isolated(target), " carried by"];
  const named = words.map(({ text, share, saturated }) =>
    make(
      "span",
      {},
      make("strong", {}, isolated(text)),
      " ",
      make("span", { className: "score" }, saturated ? `${share.toFixed(2)}, saturated` : share.toFixed(2)),
    ),
  );
  return [...subject, ...named, how];
}
