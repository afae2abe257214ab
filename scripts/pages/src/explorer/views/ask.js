// Who attends to the word: the heads of all layers that attend to it most.

import * as d3 from "../../shared/d3.js";
import { cycle } from "../actions.js";
import { render } from "../app.js";
import { colours, linear } from "../colours.js";
import { headValues } from "../head_values.js";
import { noDifference, valueNames } from "../layers.js";
import { load } from "../load.js";
import { toWord } from "../measures.js";
import { digits, perModel } from "../numbers.js";
import { data, inUnits, PAIR, SAME_SHAPE } from "../page.js";
import { emptyScene } from "../scene.js";
import { among, state } from "../state.js";
import { SEEN } from "../uses.js";
import { segment } from "../widgets.js";

const ASKED = 16; // heads that are listed

/**
 * @param {Context} context
 * @param {number} width
 * @returns {Scene}
 */
function askView(context, width) {
  if (state.word === null)
    return emptyScene(width, inUnits("Choose a word, by a click on it anywhere, by Search, or by the keys < and >."));
  const tables = askTables(context);
  if (!tables) return emptyScene(width, inUnits("Looking at all sentences …"));
  const rows = askRows(context, tables.values).slice(0, ASKED);
  const label = 62;
  const bar = rows[0].values.length === 2 ? 10 : 13;
  const row = rows[0].values.length * bar + 5;
  const x = linear([0, d3.max(rows.flatMap(({ values }) => values)) || 1], [label, width - 56]);
  /** @type {Mark[]} */
  const marks = [];
  rows.forEach(({ layer, head, values, at }, place) => {
    const y = 8 + place * row;
    const is = { layer: layer + 1, head: head + 1 };
    const shownNow = state.layer === layer + 1 && state.head === head + 1;
    const names = at === undefined ? context.names : [context.names[at]];
    /** @returns {Tip} */
    const tip = () => [
      `head ${head + 1} of layer ${layer + 1} to ${context.words[state.word ?? 0]}`,
      ["who", ASKERS[state.asked]],
      ...perModel({ names }, values),
    ];
    marks.push({
      kind: "text",
      x: label - 8,
      y: y + row / 2 - 2,
      text: `L${layer + 1} H${head + 1}`,
      size: 11,
      anchor: "end",
      bold: shownNow,
      fill: shownNow ? colours().target : colours().fore,
      is,
      tip,
    });
    values.forEach((value, number) => {
      const fill = PAIR ? colours()["ab"[context.numbers[at ?? number]]] : colours().b;
      const top = y + number * bar;
      marks.push({
        kind: "rect",
        x: label,
        y: top,
        width: Math.max(0.5, x(value) - label),
        height: bar - 1,
        fill,
        is,
        tip,
      });
      marks.push({
        kind: "text",
        x: x(value) + 4,
        y: top + bar / 2,
        text: digits(value),
        size: 9,
        fill: colours().soft,
      });
    });
  });
  const word = context.words[state.word ?? 0];
  const who =
    state.asked === "everywhere"
      ? `${tables.count} occurrences of ${word} in ${tables.sentences} ${inUnits("sentences")}`
      : `${word} at position ${state.word}`;
  const order = context.diff && SAME_SHAPE ? "by the size of the change" : "the strongest first";
  const all =
    d3.sum(tables.values, (table) => table.length * table[0].length) / (SAME_SHAPE ? tables.values.length : 1);
  return {
    width,
    height: 16 + rows.length * row,
    marks,
    note: `Attention to ${who}, ${ASKERS[state.asked]}; ${order}. ${rows.length} of ${all} heads.${context.diff ? noDifference(SAME_SHAPE) : ""}`,
    table: () => askTable(context, tables.values),
  };
}

/** @type {Record<string, string>} */
const ASKERS = {
  all: "mean over all positions",
  position: "of the chosen position",
  everywhere: "mean over all positions and occurrences",
};

/**
 * A row a head with its numbers in the models; where their heads do not answer to each other, a row a model (`at`) and head.
 *
 * @param {Context} context
 * @param {number[][][]} tables
 * @returns {{ layer: number, head: number, at?: number, values: number[] }[]}
 */
function askRows(context, tables) {
  /**
   * @param {number[][]} table
   * @param {(layer: number, head: number) => number[]} values
   * @param {number} [at]
   */
  const rowsOf = (table, values, at) =>
    table.flatMap((row, layer) => row.map((_, head) => ({ layer, head, at, values: values(layer, head) })));
  const rows = SAME_SHAPE
    ? rowsOf(tables[0], (layer, head) => tables.map((table) => table[layer][head]))
    : tables.flatMap((table, at) => rowsOf(table, (layer, head) => [table[layer][head]], at));
  const key = (/** @type {{ values: number[] }} */ { values }) =>
    context.diff && values.length === 2 ? Math.abs(values[1] - values[0]) : Math.max(...values);
  return rows.sort((one, other) => key(other) - key(one));
}

/**
 * @param {Context} context
 * @param {number[][][]} tables
 * @returns {Cell[][]}
 */
function askTable(context, tables) {
  const token = [state.word, context.sides[0].tokens[state.word ?? 0], state.asked];
  const rows = askRows(context, tables);
  if (rows[0].at !== undefined)
    return [
      ["model", "layer", "head", "token", "token_text", "who", "value"],
      ...rows.map(({ layer, head, values, at }) => [context.names[at ?? 0], layer + 1, head + 1, ...token, ...values]),
    ];
  return [
    ["layer", "head", "token", "token_text", "who", ...valueNames(context)],
    ...rows.map(({ layer, head, values }) => [layer + 1, head + 1, ...token, ...values]),
  ];
}

/** @param {Context} context */
function askTables(context) {
  if (state.asked !== "everywhere") return { values: headValues(context, "to the word") };
  const token = context.sides[0].tokens[state.word ?? 0];
  const found = everywhere(token);
  return found && { ...found, values: context.numbers.map((number) => found.values[number]) };
}

// Means over all occurrences of a token in the page's sentences; null until they are there.
const occurrences = new Map();

/** @param {string} token */
function everywhere(token) {
  if (!occurrences.has(token)) {
    occurrences.set(token, null);
    void countEverywhere(token).then((found) => {
      occurrences.set(token, found);
      return render();
    });
  }
  return occurrences.get(token);
}

/** @param {string} token */
async function countEverywhere(token) {
  const values = data.models.map(({ layers, heads }) => d3.range(layers).map(() => new Float64Array(heads)));
  let count = 0;
  let sentences = 0;
  for (const [index, meta] of data.sentences.entries()) {
    const places = meta.sides[0].tokens.flatMap((other, position) => (other === token ? [position] : []));
    if (!places.length) continue;
    const { sides } = await load(index);
    count += places.length;
    sentences += 1;
    for (const place of places) {
      sides.forEach((side, number) =>
        values[number].forEach((row, layer) =>
          row.forEach((_, head) => (row[head] += toWord(side, layer, head, place))),
        ),
      );
    }
  }
  return { count, sentences, values: values.map((table) => table.map((row) => Array.from(row, (sum) => sum / count))) };
}

export const ask = {
  name: "ask",
  column: 1,
  title: "Who attends to the word",
  help: "The heads that attend to it most",
  draw: askView,
  waits: (/** @type {Context} */ context) =>
    state.asked === "everywhere" && Boolean(occurrences.get(context.sides[0].tokens[state.word ?? 0])),
  uses: [...SEEN, "asked", "head"],
  fields: { asked: ["ask", "all", among("all", "position", "everywhere")] },
  controls: () => [
    segment("asked", [
      ["all", "all positions", "mean over the positions that ask (key q)"],
      ["position", "the position", "the chosen position asks"],
      ["everywhere", inUnits("all sentences"), "mean over all occurrences of the word"],
    ]),
  ],
  keys: [[["q"], "next way of asking who attends to the word", cycle("asked", ["all", "position", "everywhere"])]],
};
