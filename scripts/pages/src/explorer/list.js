// The list of sentences: search, filter, order.

import * as d3 from "../shared/d3.js";
import { byId, isolated, make, textNodes } from "../shared/dom.js";
import { set } from "./app.js";
import { confidence, inCell, known } from "./confusion.js";
import { wordFound } from "./matches.js";
import { digits } from "./numbers.js";
import { data, inUnits, PAIR, SAME_SHAPE } from "./page.js";
import { state } from "./state.js";

/** @param {SentenceMeta | Sentence} sentence */
const whole = (sentence) => (sentence.pair === null ? sentence.text : `${sentence.text} | ${sentence.pair}`);
const lowered = data.sentences.map((sentence) => whole(sentence).toLowerCase());

/**
 * By what sentences can be sorted, the largest first: name, words, value.
 *
 * @param {SentenceMeta} sentence
 */
const largestLoss = (sentence) => Math.max(...sentence.sides.map(({ loss }) => loss ?? -Infinity));

/** @param {SentenceMeta} sentence */
const leastSure = (sentence) => -Math.min(...sentence.sides.map((side) => confidence(side) ?? Infinity));

/**
 * @param {boolean} there whether the order is one of this page
 * @param {[string, string, ((sentence: SentenceMeta) => number) | null]} order
 */
const sortIf = (there, ...order) => (there ? [order] : []);

/** @param {(side: SideMeta) => boolean} holds */
const anySide = (holds) => data.sentences.some((sentence) => sentence.sides.some(holds));

export const SORTS = [
  ...sortIf(true, "order", "as given", null),
  ...sortIf(PAIR && SAME_SHAPE, "change", "change of attention", (sentence) => sentence.mean_change),
  ...sortIf(PAIR, "moved", "change of relevance", (sentence) => sentence.moved),
  ...sortIf(
    anySide(({ loss }) => known(loss)),
    "loss",
    "loss",
    largestLoss,
  ),
  ...sortIf(
    anySide(({ prediction }) => known(prediction)),
    "prediction",
    "prediction",
    null,
  ),
  ...sortIf(
    anySide((side) => confidence(side) !== null),
    "confidence",
    "the least sure",
    leastSure,
  ),
];

const items = data.sentences.map((sentence, index) => {
  const characters = Array.from(whole(sentence));
  const text = characters.length > 240 ? `${characters.slice(0, 240).join("")}…` : characters.join("");
  const labels = sentence.sides.flatMap((side, number) =>
    known(side.prediction)
      ? [
          make(
            "span",
            { className: `label ${PAIR ? "ab"[number] : ""}`, title: data.models[number].name },
            isolated(side.prediction),
          ),
        ]
      : [],
  );
  const value = make("span", { className: "value" });
  const button = make(
    "button",
    { type: "button" },
    make("span", { className: "id" }, String(sentence.id)),
    ...(sentence.sides[0].picture
      ? [make("img", { className: "small-picture", src: sentence.sides[0].picture.uri, alt: "" })]
      : []),
    make("span", { className: "sentence", dir: "auto" }, ...textNodes(text)),
    make("span", { className: "labels" }, ...labels, value),
  );
  button.addEventListener("click", () => set({ sentence: index, ...wordFound(index) }));
  return { element: make("li", {}, button), button, value };
});

// Indices in the order of the list, those that are filtered out left away.
export function listed() {
  const wanted = state.search.trim().toLowerCase();
  const found = d3
    .range(data.sentences.length)
    .filter((index) => lowered[index].includes(wanted) && inCell(data.sentences[index]));
  const key = SORTS.find(([name]) => name === state.sort)?.[2];
  if (key) found.sort((one, other) => key(data.sentences[other]) - key(data.sentences[one]) || one - other);
  if (state.sort === "prediction") {
    const text = (/** @type {number} */ index) =>
      data.sentences[index].sides.map(({ prediction }) => prediction ?? "").join(" ");
    found.sort((one, other) => (text(one) < text(other) ? -1 : text(one) > text(other) ? 1 : one - other));
  }
  return found;
}

let listBefore = "";
let shownBefore = "";
let chosenBefore = -1;
let currentBefore = -1;

export function drawList() {
  const key = JSON.stringify([state.search, state.sort, state.cell]);
  if (key !== listBefore) {
    listBefore = key;
    const order = listed();
    const sort = SORTS.find(([name]) => name === state.sort);
    for (const index of order)
      items[index].value.textContent = sort?.[2] ? digits(Math.abs(sort[2](data.sentences[index]))) : "";
    byId("sentences").replaceChildren(...order.map((index) => items[index].element));
    byId("count").textContent =
      `${order.length} of ${data.sentences.length} ${inUnits("sentences")}${state.cell ? " (by prediction)" : ""}`;
    byId("unfilter").hidden = !state.cell && !state.search;
  }
  if (currentBefore !== state.sentence) {
    items[currentBefore]?.button.removeAttribute("aria-current");
    items[state.sentence].button.setAttribute("aria-current", "true");
    currentBefore = state.sentence;
  }
}

// Brings the chosen sentence into the list's sight; asks where things are, so that it comes after all that changes them.
export function scrollList() {
  const list = byId("sentences");
  const chosen = items[state.sentence].element;
  if (!chosen.isConnected || (listBefore === shownBefore && state.sentence === chosenBefore)) return;
  chosenBefore = state.sentence;
  shownBefore = listBefore;
  // Within the list only: the page itself stays where the reader has it.
  const top = chosen.offsetTop - list.offsetTop;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + chosen.offsetHeight > list.scrollTop + list.clientHeight)
    list.scrollTop = top + chosen.offsetHeight - list.clientHeight;
}

/** @param {number} by */
export function stepSentence(by) {
  const order = listed();
  const at = order.indexOf(state.sentence);
  const next = order[at < 0 ? 0 : at + by];
  if (next !== undefined) set({ sentence: next, ...wordFound(next) });
}
