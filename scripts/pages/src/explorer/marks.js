// Marks and texts that several views share.

import { colours, DASH } from "./colours.js";
import { arcsOver } from "./context.js";
import { layerName, valueNames, valuesOf } from "./layers.js";
import { digits, perModel } from "./numbers.js";
import { data, inUnits, PAIR } from "./page.js";
import { lineFrom } from "./scene.js";
import { state } from "./state.js";

/**
 * How wide and how strong an arc is drawn, against the strongest between two positions.
 *
 * @param {Picture} context
 * @param {number} value
 */
const ofStrongest = (context, value) => Math.min(1.4, value / (context.strongest || 1));

/**
 * @param {Picture} context
 * @param {number} value
 */
const arcLine = (context, value) => 0.6 + 5 * Math.sqrt(ofStrongest(context, value));

/**
 * @param {Picture} context
 * @param {Arc} arc
 * @param {Tracer} trace
 * @returns {PathMark}
 */
export function arcMark(context, arc, trace) {
  const share = Math.min(1, ofStrongest(context, arc.value));
  // Of one model alone arcs have its colour.
  const stroke = colours()[arc.kind] ?? colours()[PAIR ? "ab"[context.numbers[0]] : "b"];
  return {
    kind: "path",
    trace,
    stroke,
    line: arcLine(context, arc.value),
    opacity: 0.3 + 0.6 * Math.sqrt(share),
    dash: DASH[arc.kind],
    glows: true,
    arc: arc.kind,
    is: { layer: arc.layer, ...(arc.layer === context.from ? { word: arc.from } : {}) },
    tip: () => arcTip(context, arc),
  };
}

/** @type {Record<string, Record<string, string>>} */
const STRENGTH = {
  attention: { any: "attention" },
  share: { back: "share of the position", forward: "share from the word", both: "share of the position from the word" },
  flow: { any: "flow from the word to the position" },
};

/**
 * @param {Picture} options
 * @returns {string}
 */
export const strengthName = ({ strength, trace }) => inUnits(STRENGTH[strength][trace] ?? STRENGTH[strength].any);

/**
 * @param {string} name
 * @param {boolean} diff
 */
export const strongerIn = (name, diff) => (diff ? `stronger in ${name}` : `twice as strong in ${name}, or more`);

/**
 * @param {Picture} context
 * @param {Arc} arc
 * @returns {Tip}
 */
function arcTip(context, arc) {
  const { words } = context;
  const values = context.sides.length === 2 ? [arc.a, arc.b] : [arc.a];
  const kind = {
    only: "",
    shared: "alike in both models",
    a: strongerIn(data.models[0].name, context.diff),
    b: strongerIn(data.models[1]?.name, context.diff),
  }[arc.kind];
  return [
    `${words[arc.from]} (${arc.from}) → ${words[arc.to]} (${arc.to})`,
    ["layer", arc.layer],
    ["what", strengthName(context)],
    ...perModel(context, values),
    ...(kind ? [/** @type {[string, string]} */ (["strength", kind])] : []),
  ];
}

/**
 * @param {Picture} context
 * @param {number} step
 * @param {number} position
 * @param {{ x: number, y: number }} options
 * @param {number} value
 * @returns {CircleMark}
 */
export function nodeMark(context, step, position, { x, y }, value) {
  const isWord = step === 0;
  const chosen = isWord && position === state.word;
  const r = context.strength === "attention" ? (value ? 2 : 0.8) : 0.8 + 6 * Math.sqrt(Math.max(0, value));
  return {
    kind: "circle",
    x,
    y,
    r,
    fill: chosen ? colours().word : colours().fore,
    opacity: value ? 0.75 : 0.3,
    is: isWord ? { word: position } : { position, layer: context.from - 1 + step },
    tip: () => nodeTip(context, step, position),
  };
}

/**
 * Nodes through which next to nothing passes are dots in one path; a word is never one of them.
 *
 * @param {CircleMark} mark
 */
export const isSmall = (mark) => mark.r < 1.8 && mark.is?.word === undefined;

/**
 * (A canvas draws no line without a length.)
 *
 * @param {CircleMark[]} nodes
 * @returns {PathMark}
 */
export const dotsMark = (nodes) => ({
  kind: "path",
  trace: (pen) => nodes.forEach(({ x, y }) => lineFrom(x, y, x + 0.01, y)(pen)),
  stroke: colours().fore,
  line: 1.8,
  cap: "round",
  opacity: 0.3,
  quiet: true,
});

/**
 * @param {Picture} context
 * @param {number} step
 * @param {number} position
 * @returns {Tip}
 */
function nodeTip(context, step, position) {
  const layer = context.from - 1 + step;
  const lines =
    context.strength === "attention"
      ? []
      : perModel(
          context,
          context.graphs.map(({ nodes }) => nodes[step][position]),
        );
  return [
    `${context.words[position]} at position ${position}`,
    [layer ? "after layer" : "input", layer ? layer : inUnits("the word")],
    ...(lines.length ? [/** @type {[string, string]} */ (["what", strengthName(context)])] : []),
    ...lines,
  ];
}

/**
 * @param {Picture} context
 * @param {number} token
 * @returns {Tip}
 */
export function wordTip(context, token) {
  const lines = perModel(
    context,
    valuesOf(context, state.method).map((row) => row?.[token]),
  );
  return [
    `${context.words[token]} at position ${token}`,
    ["what", `${state.method} to position ${state.position}, ${layerName(context)}`],
    ...lines,
  ];
}

/**
 * How a word's label looks: chosen, asked for, special.
 *
 * @param {Picture} context
 * @param {number} token
 */
export function wordLook(context, token) {
  if (token === state.word) return { fill: colours().word, bold: true };
  if (token === state.position) return { fill: colours().target, bold: true };
  return { fill: context.sides[0].source[token] < 0 ? colours().soft : colours().fore };
}

/**
 * @param {Picture} context
 * @param {number} token
 */
export const plain = (context, token) => context.sides[0].source[token] >= 0;

/** @param {Picture} context */
export function arcsNote(context) {
  const { arcs, counts, over, own, threshold, size, from, to } = context;
  const parts = [
    `${over - own} arcs between positions of at least ${digits(threshold)}`,
    ...(own ? [`${own} from a position to itself`] : []),
    ...(over > arcs.length ? [`the strongest ${arcs.length} drawn`] : []),
  ];
  if (context.sides.length === 2) {
    const [a, b] = data.models.map((model) => model.name);
    if (context.diff) parts.push(`stronger in ${b}: ${counts.b}, in ${a}: ${counts.a}`);
    else
      parts.push(
        `alike in both: ${counts.shared}, at least twice as strong in ${a}: ${counts.a}, in ${b}: ${counts.b}`,
      );
  }
  if (context.strength === "flow" && context.sides.length) {
    const values = context.graphs.map((graph) => digits(graph.value));
    parts.push(`maximum flow ${values.join(" and ")}`);
  }
  if (state.strength === "flow" && state.word === null)
    parts.push(inUnits("a flow needs a word: choose one (shares are shown until then)"));
  if (state.special !== "1" && context.sides[0].source.some((place) => place < 0))
    parts.push(`special tokens left out`);
  return `${strengthName(context)}, layers ${from} to ${to}, ${size} positions: ${parts.join("; ")}.`;
}

/**
 * @param {Picture} context
 * @returns {Cell[][]}
 */
export function arcsTable(context) {
  const both = context.sides.length === 2;
  const head = ["layer", "from_position", "from_token", "to_position", "to_token", ...valueNames(context), "kind"];
  const token = (/** @type {number} */ position) => context.sides[0].tokens[position];
  return [
    head,
    ...arcsOver(context).map((arc) => [
      arc.layer,
      arc.from,
      token(arc.from),
      arc.to,
      token(arc.to),
      ...(both ? [arc.a, arc.b] : [arc.a]),
      arc.kind,
    ]),
  ];
}
