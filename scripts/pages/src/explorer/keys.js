// Keys, and what they do; the help is made from the same list.

import { byId, make } from "../shared/dom.js";
import { cycle, last, onlyShown, stepped } from "./actions.js";
import { writeHash } from "./address.js";
import { now, set } from "./app.js";
import { stepFound } from "./find.js";
import { stepSentence } from "./list.js";
import { data, HEADS, inUnits, LAYERS } from "./page.js";
import { enlarge, saveView } from "./panels.js";
import { MODES, state } from "./state.js";
import { fromSlider, toSlider } from "./threshold.js";
import { VIEWS } from "./views/index.js";

/**
 * @param {View} view
 * @param {number} index
 * @returns {Key}
 */
const enlargeKey = ({ name }, index) => [[String(index + 1)], `enlarge ${name}, or back`, () => enlarge(name)];

const SAID_FOR = 5000; // milliseconds that a message stays

/** @type {[string, Key[]][]} */
const KEYS = [
  [
    "Sentences",
    [
      [["j"], "next sentence", () => stepSentence(1)],
      [["k"], "previous sentence", () => stepSentence(-1)],
      [["/"], "search", () => byId("search").focus()],
      [["n"], "next occurrence of what is searched for (Enter in the box)", () => stepFound(1)],
      [["N"], "previous occurrence", () => stepFound(-1)],
    ],
  ],
  [
    "What is asked",
    [
      [["."], "next position", stepped("position", 1, 0, last)],
      [[","], "previous position", stepped("position", -1, 0, last)],
      [[">"], "next word to trace", stepped("word", 1, 0, last)],
      [["<"], "previous word to trace", stepped("word", -1, 0, last)],
      [["w"], "trace no word", () => set({ word: null })],
      [
        ["x"],
        "next paths: to the position, from the word, between them, all",
        cycle("trace", ["back", "forward", "both", "all"]),
      ],
      [["b"], "compute arcs by the next of share, attention, flow", cycle("strength", ["share", "attention", "flow"])],
      [["m"], "the next of both models, difference, one, the other", cycle("models", MODES)],
      [["v"], "next method", cycle("method", data.methods)],
      [["i"], "special tokens: hidden, shown", cycle("special", ["", "1"])],
    ],
  ],
  [
    "Layers, heads, strength",
    [
      [["]"], "layer up", stepped("layer", 1, 1, () => LAYERS)],
      [["["], "layer down", stepped("layer", -1, 1, () => LAYERS)],
      [[")"], "first layer of the arcs up", () => set({ from: Math.min(state.to, state.from + 1) })],
      [["("], "first layer of the arcs down", () => set({ from: Math.max(1, state.from - 1) })],
      [["}"], "last layer of the arcs up", () => set({ to: Math.min(LAYERS, state.to + 1) })],
      [["{"], "last layer of the arcs down", () => set({ to: Math.max(state.from, state.to - 1) })],
      [
        ["h"],
        "next head (after the last, all fused)",
        () => set({ head: (state.head + 1) % (HEADS + 1), map: "heads" }),
      ],
      [["H"], "previous head", () => set({ head: (state.head + HEADS) % (HEADS + 1), map: "heads" })],
      [["a"], "of this layer only the head that is shown; with none shown, all heads", onlyShown],
      [["+", "="], "threshold up", () => set({ threshold: fromSlider(Math.min(100, toSlider(now().threshold) + 4)) })],
      [["-"], "threshold down", () => set({ threshold: fromSlider(Math.max(0, toSlider(now().threshold) - 4)) })],
      [["0"], "threshold that leaves about 70 arcs", () => set({ threshold: null })],
    ],
  ],
  [
    "Views",
    [
      ...VIEWS.map(enlargeKey),
      ...VIEWS.flatMap(({ keys }) => keys ?? []),
      [["s"], "save the view that is enlarged, or has the focus, as SVG", () => saveView(viewNow(), "svg")],
      [["p"], "save it as PNG", () => saveView(viewNow(), "png")],
      [["c"], "save its numbers as CSV", () => saveView(viewNow(), "csv")],
      [["l"], "copy the link to what is shown", copyLink],
      [["t"], "light, dark, or as the system says", cycle("theme", ["", "light", "dark"])],
      [["?"], "these keys", () => toggleHelp()],
      [["Escape"], "close; back to all views; trace no word", closeInmost],
    ],
  ],
];

const ACTIONS = new Map(
  KEYS.flatMap(([, keys]) => keys.flatMap(([names, , action]) => names.map((name) => [name, action]))),
);

// Arrows move in the picture that has the focus: over layers and words, unless the view has its own.
/** @type {Record<string, () => unknown>} */
const ARROWS = {
  ArrowUp: stepped("layer", 1, 1, () => LAYERS),
  ArrowDown: stepped("layer", -1, 1, () => LAYERS),
  ArrowLeft: stepped("word", -1, 0, last),
  ArrowRight: stepped("word", 1, 0, last),
};

const viewNow = () =>
  state.view || /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.view || VIEWS[0].name;

function closeInmost() {
  if (byId("help").open) return toggleHelp();
  if (state.view) return set({ view: "" });
  return set({ word: null });
}

function toggleHelp() {
  const help = byId("help");
  if (help.open) help.close();
  else help.showModal();
}

export async function copyLink() {
  writeHash();
  let said = "The address of this page is the link to what it shows.";
  try {
    await navigator.clipboard.writeText(location.href);
    said = "Link copied.";
  } catch {
    // Not allowed here; the address bar has it.
  }
  byId("status").textContent = said;
  setTimeout(() => {
    if (byId("status").textContent === said) byId("status").textContent = "";
  }, SAID_FOR);
}

/** @param {KeyboardEvent & { target: any }} event */
function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !now()) return;
  if (event.target.matches("input[type=search]")) {
    if (event.key === "Enter") stepFound(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.target.matches("select, input[type=range]") && /^(Arrow|Home|End|Page)/.test(event.key)) return;
  const view = VIEWS.find(({ name }) => name === event.target.dataset?.view);
  const arrows = view && (view.arrows ?? ARROWS);
  const action = arrows?.[event.key] ?? ACTIONS.get(event.key);
  // Escape closes the help by itself.
  if (!action || (byId("help").open && event.key !== "?")) return;
  event.preventDefault();
  action();
}

export function setUpHelp() {
  const groups = KEYS.map(([name, keys]) =>
    make(
      "section",
      {},
      make("h3", {}, inUnits(name)),
      make(
        "dl",
        {},
        ...keys.flatMap(([names, words]) => [
          make("dt", {}, ...names.map((key) => make("kbd", {}, key === "Escape" ? "Esc" : key))),
          make("dd", {}, inUnits(words)),
        ]),
      ),
    ),
  );
  groups.push(
    make(
      "section",
      {},
      make("h3", {}, "In a picture"),
      make(
        "dl",
        {},
        make("dt", {}, make("kbd", {}, "arrows")),
        make("dd", {}, inUnits("heat map: position and word; head grid: layer and head; elsewhere: layer and word")),
        make("dt", {}, "click"),
        make(
          "dd",
          {},
          inUnits(
            "a word: trace it; a position of a layer above: ask for it; a head: show it; with Shift: choose the head, or ask for the word's position",
          ),
        ),
      ),
    ),
  );
  byId("help-keys").append(...groups);
  byId("help-button").addEventListener("click", toggleHelp);
  byId("help-close").addEventListener("click", toggleHelp);
  document.addEventListener("keydown", pressed);
}
