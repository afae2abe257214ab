// The sentence as it was written, once a method, each token shaded by its relevance.

import { breakable, byId, focusOn, isolated, make, paint, textNodes } from "../shared/dom.js";
import { alike, nothing } from "../shared/scale.js";
import { bounds, shareOf, toldApart } from "./example.js";
import { data, inUnits } from "./page.js";
import { isLater, marked } from "./parts.js";
import { patchesOf, plain } from "./patches.js";

/**
 * @param {Unpacked} current
 * @param {ReportState} state
 */
export function renderWords(current, state) {
  const shown = data.methods.filter((method) => state.methods.has(method));
  const image = Boolean(current.example.picture);
  byId("words").classList.toggle("pictures", image);
  byId("words").replaceChildren(
    ...(image ? [plain(current.example)] : []),
    ...shown.map((method) => withTold(current, state, method, (image ? patchesOf : wordsOf)(current, state, method))),
  );
  if (!shown.length) byId("words").append(make("p", { className: "notice" }, "Choose a method."));
}

/**
 * @param {Unpacked} current
 * @param {ReportState} state
 * @param {string} method
 */
function wordsOf(current, state, method) {
  const { example } = current;
  const row = current.row(method, state.layer, state.query);
  const scale = bounds(current, method, state.layer, state.query, state);
  const line = () => make("p", { dir: "auto", className: "text", data: { method } });
  // A line each for sources and targets, where there are both.
  const lines = example.parts ? [line(), line()] : [line()];
  example.tokens.forEach((_, token) => {
    const text = example.parts && token >= example.parts.start ? lines[1] : lines[0];
    const [gap, surface] = example.pieces[token];
    if (gap)
      text.append(
        gap.trim() ? make("span", { className: "unread", title: "not read by the model" }, ...textNodes(gap)) : " ",
      );
    const element = word(example, state, token, surface, shareOf(row[token], scale), Boolean(example.joined[token]));
    element.classList.toggle("saturated", current.saturated(method, state.layer, state.query, token));
    text.append(element);
  });
  for (const text of lines) text.querySelector(".token")?.setAttribute("tabindex", "0");
  const { parts } = example;
  const shown = parts
    ? lines.map((text, side) =>
        make("div", { className: "side" }, make("span", { className: "score" }, parts.names[side]), text),
      )
    : lines;
  return make("figure", {}, make("figcaption", {}, ...breakable(method)), make("div", {}, ...shown));
}

/**
 * A method's figure, with how many tokens it tells apart.
 *
 * @param {Unpacked} current
 * @param {ReportState} state
 * @param {string} method
 * @param {HTMLElement} figure
 */
function withTold(current, state, method, figure) {
  const { queries, source } = current.example;
  const isWord = (/** @type {number} */ token) => source[token] >= 0 && token !== queries[state.query];
  const row = current.row(method, state.layer, state.query);
  const none = data.flows.includes(method) && inUnits(nothing(row, isWord));
  if (none) {
    // Zeros are not told apart, saturated or not.
    figure.append(make("p", { className: "apart" }, none));
    return figure;
  }
  const told = toldApart(current, method, state.layer, state.query, data.methods);
  if (told) {
    const see = told.instead ? `; see ${told.instead}` : "";
    figure.append(
      make(
        "p",
        { className: "apart" },
        `tells ${told.apart} of ${told.of} tokens apart here; the rest are saturated${see}`,
      ),
    );
  }
  const near = inUnits(alike(row, isWord));
  if (near && data.flows.includes(method) && (!told || 2 * told.apart >= told.of))
    figure.append(make("p", { className: "apart" }, near));
  return figure;
}

/**
 * @param {ReportExample} example
 * @param {ReportState} state
 * @param {number} token
 * @param {string} surface
 * @param {number} share
 * @param {boolean} joined
 * @returns {HTMLElement}
 */
function word(example, state, token, surface, share, joined) {
  const special = example.source[token] < 0;
  const element = make("span", { className: "token", tabIndex: -1, data: { token } });
  if (special) element.append(isolated(example.tokens[token]));
  // Blanks and ends of lines by their signs, as they could not be seen or pointed at.
  else if (surface.trim()) element.append(...textNodes(surface));
  else element.append(isolated(example.tokens[token], "covered"));
  element.classList.toggle("special", special);
  element.classList.toggle("joined", joined);
  element.classList.toggle("asked", marked(example, state.query) === token);
  const later = isLater(example, state.query, token);
  element.classList.toggle("later", later);
  if (!later && (!special || state.special)) paint(element, share);
  return element;
}

/** @param {KeyboardEvent & { target: any }} event */
export function moveWord(event) {
  const text = event.target.closest(".text");
  // Among patches also up and down.
  const columns = Number(text?.dataset.columns ?? 0);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  if (!step || !text) return;
  event.preventDefault();
  const tokens = [...text.querySelectorAll(event.target.matches(".pick") ? ".pick" : ".token")];
  const next = tokens[tokens.indexOf(event.target) + step];
  if (next) focusOn(tokens, next);
}
