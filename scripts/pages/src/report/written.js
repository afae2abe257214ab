// The second part of a text, to pick a token of it.

import { byId, isolated, make, textNodes } from "../shared/dom.js";
import { explainsNext } from "./parts.js";

/**
 * The line of the second part: pointing at a token, or reaching it by keys, picks the query that explains it.
 *
 * @param {ReportExample} example
 */
export function renderWritten(example) {
  const { parts } = example;
  byId("written").hidden = !parts;
  if (!parts) return byId("written").replaceChildren();
  const line = make("p", { dir: "auto", className: "text" });
  example.tokens.forEach((token, index) => {
    if (index < parts.start) return;
    const [gap, surface] = example.pieces[index];
    if (gap) line.append(" ");
    const special = example.source[index] < 0;
    const element = tokenOf(parts.explained.indexOf(index), special || !surface.trim() ? isolated(token) : surface);
    element.classList.toggle("special", special);
    line.append(element);
  });
  example.queries.forEach((_, index) => {
    if (explainsNext(example, index))
      line.append(" ", tokenOf(index, ["next", example.prediction].filter(Boolean).join(": ")));
  });
  const hint = parts.explained.some((token) => token !== null)
    ? "point at a word, or tap it, to see what it came from"
    : 'only what follows is explained here; queries="answer" explains every word';
  return byId("written").replaceChildren(
    make("figure", {}, make("figcaption", {}, parts.names[1]), line, make("p", { className: "apart" }, hint)),
  );
}

/**
 * Marks the token of the chosen query; the others stay where they are, under the pointer too.
 *
 * @param {number} query
 */
export function markWritten(query) {
  for (const pick of byId("written").querySelectorAll(".pick")) {
    const chosen = Number(pick.dataset.query) === query;
    pick.setAttribute("aria-pressed", String(chosen));
    // Tab comes to the chosen one, arrows to the others.
    pick.tabIndex = chosen ? 0 : -1;
  }
}

/**
 * @param {number} query
 * @param {Node | string} content
 */
function tokenOf(query, content) {
  const inside = typeof content === "string" ? textNodes(content) : [content];
  if (query < 0) return make("span", { className: "token" }, ...inside);
  return make("button", { type: "button", className: "token pick", data: { query } }, ...inside);
}
