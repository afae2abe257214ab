// State, controls and keys.

import { carriedParts } from "../shared/carried.js";
import { byId, isolated, make, textNodes, turnTheme } from "../shared/dom.js";
import { darkQuery } from "../shared/theme.js";
import { speakOf } from "../shared/units.js";
import { fromHash, toHash } from "./address.js";
import { unpack } from "./example.js";
import { pngCanvas, save, svgText, tableOf } from "./export.js";
import { cellAt, cellOf, fits, markLayer, markRest, moveCell, renderHeat } from "./heat.js";
import { renderLegend } from "./legend.js";
import { data, IMAGES, inUnits } from "./page.js";
import { firstQuery, layerName, queryName } from "./parts.js";
import { mark, setUpSentences } from "./sentences.js";
import { hideTooltip, showTooltip } from "./tooltip.js";
import { moveWord, renderWords } from "./words.js";
import { markWritten, renderWritten } from "./written.js";

// Patches are many, and differ by little of the whole: their shades begin at the smallest.
const scale = IMAGES ? "range" : "row";
/** @type {ReportState} */
const first = { index: 0, layer: 0, query: 0, scale, special: false, methods: new Set(data.methods) };
const state = { ...first };
/** @type {Unpacked} */
let current;
/** @type {HTMLElement[]} */
let items = [];

/**
 * Draws what has changed: of the heat map only the mark of the layer, unless more of it has.
 *
 * @param {boolean} [heat]
 */
function render(heat = true) {
  hideTooltip();
  const focused = whereIs(document.activeElement);
  const { example } = current;
  byId("layer").value = String(state.layer);
  byId("layer-name").textContent = layerName(data.encoder_layers, example.layers[state.layer]).whole;
  byId("query").value = String(state.query);
  byId("scale").value = state.scale;
  byId("special").checked = state.special;
  markWritten(state.query);
  renderWords(current, state);
  if (heat) renderHeat(current, state);
  markLayer(state.layer);
  renderLegend(current, state);
  for (const method of data.methods) byId(`method-${method}`).checked = state.methods.has(method);
  writeHash();
  focused?.()?.focus({ preventScroll: true });
}

function writeHash() {
  const hash = `#${toHash(state, data, first)}`;
  if (location.hash === hash || (hash === "#" && !location.hash)) return;
  try {
    history.replaceState(null, "", hash);
  } catch {
    // In a notebook's frame the page has no address of its own.
  }
}

/**
 * What finds a focused word or cell again after a new rendering.
 *
 * @param {any} element
 * @returns {(() => HTMLElement | null | undefined) | null}
 */
function whereIs(element) {
  if (element?.matches("#heat td")) {
    const { method, layer, token } = cellAt(element);
    return () => cellOf(method, layer, token);
  }
  if (!element?.matches("#words .token")) return null;
  const { method } = element.closest(".text").dataset;
  const { token } = element.dataset;
  return () => document.querySelector(`#words [data-method="${method}"] .token[data-token="${token}"]`);
}

/** @param {number} index */
function choose(index) {
  const example = data.examples[index];
  const layer = Math.min(state.layer, example.layers.length - 1);
  open({ ...state, index, layer, query: firstQuery(example, state.query) });
}

/**
 * Shows a sentence, with all that is chosen.
 *
 * @param {ReportState} chosen
 */
function open(chosen) {
  Object.assign(state, chosen);
  const { index } = chosen;
  current = unpack(data.examples[index], data.methods);
  const { example } = current;
  byId("layer").max = String(example.layers.length - 1);
  byId("query").replaceChildren(
    ...example.queries.map((_, query) =>
      make("option", { value: String(query) }, ...textNodes(queryName(example, query))),
    ),
  );
  byId("query-label").textContent = example.parts ? "Relevance to" : "Relevance to position";
  renderWritten(example);
  renderPrediction(example);
  renderCarried(example);
  mark(items, index);
  render();
}

/** @param {ReportExample} example */
function renderPrediction(example) {
  const parts = [];
  if (example.prediction !== null)
    parts.push("Prediction: ", make("strong", {}, isolated(example.prediction)), meaningOf(example.prediction));
  const scores = Object.entries(example.probabilities || {}).sort((one, other) => other[1] - one[1]);
  scores
    .slice(0, 5)
    .forEach(([label, share]) =>
      parts.push(" ", make("span", { className: "score" }, isolated(label), ` ${share.toFixed(3)}`)),
    );
  if ("certified_share" in example)
    parts.push(make("span", { className: "score" }, `flows certified: ${percent(example.certified_share ?? 0)}`));
  if (example.queries.length < example.queries_total) {
    parts.push(
      make(
        "span",
        { className: "score" },
        `the first ${example.queries.length} of ${example.queries_total} positions are in this page`,
      ),
    );
  }
  byId("prediction").replaceChildren(...parts);
}

/**
 * What a class's name means, where it is known.
 *
 * @param {string} label
 */
const meaningOf = (label) => (data.meanings[label] ? ` (${data.meanings[label]})` : "");

// What answers most questions stands first: the words that the prediction rests on.
/** @param {ReportExample} example */
function renderCarried({ carried }) {
  byId("carried").replaceChildren(...(carried ? carriedParts(carried, inUnits) : []));
}

/** @param {number} share */
const percent = (share) => `${share === 1 ? "100" : (Math.floor(share * 1e4) / 100).toFixed(2)} %`;

function setUpHeader() {
  const { settings } = data;
  byId("model").append(isolated(data.model));
  byId("about").append(
    isolated(data.input),
    " · mixing: ",
    isolated(settings.mixing),
    ` · jaxflow ${data.versions.jaxflow}`,
  );
  const shown = data.examples.length;
  if (data.stored)
    byId("rest").textContent =
      shown < data.total
        ? `This page holds the first ${shown} of ${data.total} examples; the Parquet files beside it hold them all.`
        : "The Parquet files beside this page hold the same numbers.";
  if (shown < data.total) byId("about").append(` · the first ${shown} of ${data.total} examples`);
}

function setUpControls() {
  data.methods.forEach((method, index) => {
    const box = make("input", { type: "checkbox", checked: true, id: `method-${method}` });
    box.addEventListener("change", () => toggleMethod(method));
    byId("methods").append(make("label", { className: "check", title: `key ${index + 1}` }, box, ` ${method}`));
  });
  byId("controls").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
  byId("layer").addEventListener("input", () => set({ layer: Number(byId("layer").value) }));
  byId("query").addEventListener("change", () => set({ query: Number(byId("query").value) }));
  byId("scale").addEventListener("change", () => set({ scale: byId("scale").value }));
  byId("special").addEventListener("change", () => set({ special: byId("special").checked }));
  byId("keys-button").addEventListener("click", () => toggleKeys(byId("keys").hidden));
  byId("theme").addEventListener("click", nextTheme);
  for (const kind of /** @type {const} */ (["csv", "svg", "png"]))
    byId(`save-${kind}`).addEventListener("click", () => save(current, state, kind));
  darkQuery.addEventListener("change", () => render());
}

/** @param {Partial<ReportState>} changes */
function set(changes) {
  Object.assign(state, changes);
  render(Object.keys(changes).some((name) => name !== "layer"));
}

/** @param {string} method */
function toggleMethod(method) {
  if (!state.methods.delete(method)) state.methods.add(method);
  render();
}

/** @param {boolean} open */
function toggleKeys(open) {
  byId("keys").hidden = !open;
  byId("keys-button").setAttribute("aria-expanded", String(open));
}

function nextTheme() {
  turnTheme();
  render();
}

/** @param {{ target: any }} event */
function pointed(event) {
  const picked = event.target.closest?.("#written .pick");
  if (picked && Number(picked.dataset.query) !== state.query) return set({ query: Number(picked.dataset.query) });
  const element = event.target.closest?.("#words .token, #heat td");
  if (!element) return hideTooltip();
  const { method, layer, token } = element.matches("td") ? cellAt(element) : wordAt(element);
  return showTooltip(element, current, method, layer, state.query, token);
}

/** @param {any} element */
const wordAt = (element) => ({
  method: element.closest(".text").dataset.method,
  layer: state.layer,
  token: Number(element.dataset.token),
});

/**
 * A click on a cell or a layer's number chooses the layer; one on a word, its position, if relevance to it is there.
 *
 * @param {Event & { target: any }} event
 */
function clicked(event) {
  const heading = event.target.closest("#heat [data-layer]");
  const cell = event.target.closest("#heat td");
  const token = event.target.closest("#words .token");
  // Where there is no mouse to point with, what was touched says its numbers.
  const again = whereIs(cell ?? token);
  if (heading) set({ layer: Number(heading.dataset.layer) });
  if (cell) set({ layer: cellAt(cell).layer });
  if (token) {
    const position = Number(token.dataset.token);
    const { parts, queries } = current.example;
    // Of a text in two parts the query that explains the word; else the one at its position.
    const explains = parts ? parts.explained.indexOf(position) : -1;
    const query = explains >= 0 ? explains : queries.indexOf(position);
    if (query >= 0) set({ query });
  }
  const touched = again?.();
  if (touched) pointed({ target: touched });
}

/**
 * @param {"layer" | "query"} name
 * @param {number} change
 * @param {number} length
 */
function step(name, change, length) {
  set({ [name]: Math.min(Math.max(state[name] + change, 0), length - 1) });
}

/** @param {number} change */
function stepSentence(change) {
  for (let index = state.index + change; items[index]; index += change) {
    if (!items[index].hidden) return choose(index);
  }
  return undefined;
}

/** @type {Record<string, () => unknown>} */
const KEYS = {
  j: () => stepSentence(1),
  k: () => stepSentence(-1),
  "[": () => step("layer", -1, current.example.layers.length),
  "]": () => step("layer", 1, current.example.layers.length),
  ",": () => step("query", -1, current.example.queries.length),
  ".": () => step("query", 1, current.example.queries.length),
  "/": () => byId("search").focus(),
  t: nextTheme,
  "?": () => toggleKeys(byId("keys").hidden),
};

/** @param {KeyboardEvent & { target: any }} event */
function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    hideTooltip();
    toggleKeys(false);
    if (event.target === byId("search")) event.target.blur();
    return;
  }
  if (event.target.matches("input[type=search], select")) return;
  const method = data.methods[Number(event.key) - 1];
  const action = method ? () => toggleMethod(method) : KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

speakOf([IMAGES ? "images" : "texts", ...(data.encoder_layers ? ["targets"] : [])], inUnits);
setUpHeader();
setUpControls();
items = setUpSentences(choose);
for (const kind of ["mouseover", "focusin"]) document.addEventListener(kind, pointed);
document.addEventListener("scroll", hideTooltip, { passive: true, capture: true });
document.addEventListener("keydown", pressed);
byId("view").addEventListener("click", clicked);
for (const id of ["words", "written"]) byId(id).addEventListener("keydown", moveWord);
byId("heat").addEventListener("keydown", moveCell);
if (data.examples.length) {
  byId("heat").addEventListener("scroll", markRest, { passive: true });
  // A page without texts has no heat map to watch.
  new ResizeObserver(() => (fits(current, state) ? markRest() : render())).observe(byId("heat"));
  window.addEventListener("hashchange", () => open(fromHash(location.hash, data, first)));
  open(fromHash(location.hash, data, first));
  // For tests, and for whoever wants the numbers in the browser's console.
  const own = { csv: () => tableOf(current, state), svg: () => svgText(current, state) };
  Reflect.set(window, "jaxflow", { state, ...own, png: () => pngCanvas(current, state) });
} else {
  for (const id of ["save-csv", "save-svg", "save-png", "keys-button"]) byId(id).hidden = true;
  const why = data.stored ? " The files in this page's folder say why each row was left out." : "";
  byId("view").replaceChildren(
    make("p", { className: "notice" }, `No text could be used, so there is nothing to show.${why}`),
  );
}
