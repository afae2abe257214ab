// The sentence as it was written, each token shaded by what it is worth to the chosen position.

import { carriedParts } from "../shared/carried.js";
import * as d3 from "../shared/d3.js";
import { byId, isolated, make, textNodes } from "../shared/dom.js";
import { cover, framed } from "../shared/picture.js";
import { alike, nothing } from "../shared/scale.js";
import { now, set, settled } from "./app.js";
import { diverging, inkOn, sequential, themeNow } from "./colours.js";
import { confidence, known } from "./confusion.js";
import { changeOf, layerIn, layersMeet, valuesOf } from "./layers.js";
import { plain, wordTip } from "./marks.js";
import { digits } from "./numbers.js";
import { inUnits, PAIR } from "./page.js";
import { isTouch } from "./pointer.js";
import { state } from "./state.js";
import { hideTip, showTip } from "./tip.js";
import { SEEN, stateKey } from "./uses.js";

let stripBefore = "";

/** @param {Context} context */
export function drawStrip(context) {
  const key = `${stateKey([...SEEN, "method"])} ${themeNow()}`;
  if (key === stripBefore) return;
  stripBefore = key;
  const rows = valuesOf(context, state.method);
  const diff = context.diff && layersMeet(context);
  const series = diff ? [changeOf(rows)] : rows;
  const figures = series.map((row, number) => {
    const name = diff ? "change" : context.names[number];
    const caption = make(
      "figcaption",
      { className: PAIR && !diff ? "ab"[context.numbers[number]] : "" },
      isolated(name),
      ...(diff ? [] : predictionParts(context, number)),
      ...(diff ? context.sides.flatMap((_, side) => apartParts(context, side, true)) : apartParts(context, number)),
    );
    // Of two models in a difference each has its own words; else the figure is one model's.
    const sides = diff ? context.sides : [context.sides[number]];
    const carried = sides.flatMap((side, at) => carriedLine(side, diff ? context.names[at] : null));
    const draw = sides[0].picture ? stripPicture : stripText;
    return make("figure", {}, caption, draw(context, row, number, diff), ...carried);
  });
  byId("strip").replaceChildren(...figures);
}

/**
 * The words that a model's prediction rests on, whichever method and layer are looked at.
 *
 * @param {Side} side
 * @param {string | null} name of the model, where it must be said
 */
function carriedLine({ carried }, name) {
  if (!carried) return [];
  const where = name === null ? [] : [make("span", { className: "score" }, "in ", isolated(name))];
  return [make("p", { className: "carried" }, ...carriedParts(carried, inUnits), ...where)];
}

/**
 * Where a flow does not tell all tokens apart, how many it does.
 *
 * @param {Context} context
 * @param {number} number
 * @param {boolean} [named]
 */
function apartParts(context, number, named = false) {
  const side = context.sides[number];
  const layer = layerIn(side) - 1;
  const apart = side.apart(state.method, layer, state.position);
  const where = named ? [" in ", isolated(context.names[number])] : [];
  const row = /^flow/.test(state.method) ? side.row(state.method, layer, state.position) : null;
  const isWord = (/** @type {number} */ token) => side.source[token] >= 0 && token !== state.position;
  const none = row ? inUnits(nothing(row, isWord)) : "";
  // Zeros are not told apart, saturated or not.
  const said = apart === null || none ? [] : [`${state.method} tells ${apart} of ${side.size} tokens apart here`];
  if (none) said.push(`${state.method}: ${none}`);
  const near = row && (apart === null || 2 * apart >= side.size) ? inUnits(alike(row, isWord)) : "";
  if (near) said.push(`${state.method}: ${near}`);
  return said.map((words) => make("span", { className: "apart" }, words, ...where));
}

/**
 * @param {Context} context
 * @param {number} number
 */
function predictionParts(context, number) {
  const side = context.sides[number];
  const label = context.sentence.label;
  // A model without classes cannot be right or wrong of it.
  if (!known(side.prediction))
    return known(label) ? [make("span", { className: "prediction" }, "label: ", isolated(label))] : [];
  const share = confidence(side);
  const parts = [
    make("span", { className: "prediction" }, isolated(side.prediction), share === null ? "" : ` ${share.toFixed(3)}`),
  ];
  if (known(label))
    parts.push(
      make(
        "span",
        { className: "prediction" },
        label === side.prediction ? "right" : "wrong",
        known(side.loss) ? `, loss ${digits(side.loss)}` : "",
      ),
    );
  return parts;
}

/**
 * What full shade stands for: the largest number of a word, or a patch, beside the position itself.
 *
 * @param {Context} context
 * @param {Row | number[] | null} row
 */
function topOf(context, row) {
  const isScaling = (/** @type {unknown} */ _, /** @type {number} */ token) =>
    plain(context, token) && token !== state.position;
  return d3.max(Array.from(row ?? []).filter(isScaling), Math.abs) || 1;
}

/**
 * The image, each patch shaded over it, and the other tokens below.
 *
 * @param {Context} context
 * @param {Row | number[] | null} row
 * @param {number} number
 * @param {boolean} diff
 */
function stripPicture(context, row, number, diff) {
  const side = context.sides[diff ? 0 : number];
  const top = topOf(context, row);
  const elements = side.tokens.map((name, token) => {
    const special = side.source[token] < 0;
    const element = make("span", { className: special ? "token special" : "token patch", data: { token } });
    if (special) element.append(isolated(name));
    else if (row) element.style.backgroundColor = cover(row[token] / top);
    marked(element, token);
    return element;
  });
  const isPatch = (/** @type {unknown} */ _, /** @type {number} */ token) => side.source[token] >= 0;
  const beside = elements.filter((_, token) => side.source[token] < 0);
  return make(
    "div",
    { className: "patches", data: { side: number } },
    framed(side.picture, context.sentence.text, elements.filter(isPatch)),
    make("p", { className: "beside" }, ...beside),
  );
}

/**
 * Shows what is chosen.
 *
 * @param {HTMLElement} element
 * @param {number} token
 */
function marked(element, token) {
  element.classList.toggle("asked", state.position === token);
  element.classList.toggle("traced", state.word === token);
}

/**
 * @param {Context} context
 * @param {Row | number[] | null} row
 * @param {number} number
 * @param {boolean} diff
 */
function stripText(context, row, number, diff) {
  const side = context.sides[diff ? 0 : number];
  const text = make("p", { dir: "auto", className: "text", data: { side: number } });
  const top = topOf(context, row);
  side.tokens.forEach((_, token) => {
    const [gap, surface] = side.pieces[token];
    if (gap)
      text.append(
        gap.trim() ? make("span", { className: "unread", title: "not read by the model" }, ...textNodes(gap)) : " ",
      );
    text.append(stripWord(side, token, surface, row && row[token] / top, diff));
  });
  return text;
}

/**
 * @param {Side} side
 * @param {number} token
 * @param {string} surface
 * @param {number | null | undefined} share
 * @param {boolean} diff
 */
function stripWord(side, token, surface, share, diff) {
  const special = side.source[token] < 0;
  const element = make("span", { className: "token", data: { token } });
  if (special || !surface) element.append(isolated(side.tokens[token], special ? "" : "covered"));
  else element.append(...textNodes(surface));
  element.classList.toggle("special", special);
  element.classList.toggle("joined", Boolean(side.joined[token]));
  marked(element, token);
  if (!special && share !== null && share !== undefined) {
    const background = diff ? diverging(share) : sequential(share);
    element.style.backgroundColor = background;
    element.style.color = inkOn(background);
  }
  return element;
}

export function setUpStrip() {
  const strip = byId("strip");
  const tokenOf = (/** @type {MouseEvent & { target: any }} */ event) => event.target.closest?.(".token");
  strip.addEventListener("click", (/** @type {MouseEvent & { target: any }} */ event) => {
    const token = tokenOf(event);
    if (!token) return;
    const index = Number(token.dataset.token);
    if (event.shiftKey || event.ctrlKey || event.metaKey) set({ position: index });
    else set({ word: state.word === index ? null : index });
    if (isTouch(event))
      void settled().then(() => now() && showTip(wordTip(now(), index), event.clientX, event.clientY));
  });
  strip.addEventListener("mousemove", (/** @type {MouseEvent & { target: any }} */ event) => {
    const token = tokenOf(event);
    if (token && now()) showTip(wordTip(now(), Number(token.dataset.token)), event.clientX, event.clientY);
    else hideTip();
  });
  strip.addEventListener("mouseleave", hideTip);
}
