// The box with numbers.

import { byId, make, textNodes } from "../shared/dom.js";

/**
 * The box with numbers: a heading, and names with values.
 *
 * @param {Tip} tip
 * @param {number} x
 * @param {number} y
 */
export function showTip([heading, ...rows], x, y) {
  const tip = byId("tooltip");
  tip.replaceChildren(
    make("strong", {}, ...textNodes(heading)),
    ...rows.map(([name, text]) =>
      make("div", {}, make("span", { className: "name" }, name), ...textNodes(String(text))),
    ),
  );
  tip.hidden = false;
  since = performance.now();
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(x + 14, document.documentElement.clientWidth - box.width - 8))}px`;
  tip.style.top = `${y + 18 + box.height > window.innerHeight ? Math.max(4, y - box.height - 10) : y + 18}px`;
}

// When the box was shown, and how long after that a scroll is not the reader's: a choice may change heights above.
let since = 0;
const STAYS = 400;

// The box stands where it was shown, so it goes when the reader scrolls.
export function scrolledAway() {
  if (performance.now() - since > STAYS) hideTip();
}

export function hideTip() {
  byId("tooltip").hidden = true;
}
