// The head grid: a row a layer, a column a head, each showing its pattern or a number.

import * as d3 from "../../shared/d3.js";
import { short } from "../../shared/text.js";
import { cycle, stepped } from "../actions.js";
import { colours } from "../colours.js";
import { headValues } from "../head_values.js";
import { noDifference, valueNames } from "../layers.js";
import { data, HEADS, inUnits, LAYERS, PAIR, SAME_SHAPE } from "../page.js";
import { among, headNames, state } from "../state.js";
import { SEEN } from "../uses.js";
import { chooser } from "../widgets.js";
import { patternPlates, rolePlates, valuePlates } from "./plates.js";

const MEASURES = [
  "pattern",
  ...(PAIR && SAME_SHAPE ? ["change"] : []),
  ...data.measures,
  ...(data.roles ? ["role"] : []),
  "to the word",
  "from the position",
  "to itself",
  "to the previous",
  "to the next",
  "to special tokens",
  "entropy",
];

/** @type {Record<string, string>} */
const MEASURE_HELP = {
  pattern: "attention of each head, a row a position",
  change: "Jensen-Shannon distance of the models' attention, mean over positions",
  "to the word": "attention to the chosen word, mean over the positions that ask",
  "from the position": "the largest weight of the chosen position",
  "to itself": "attention to the position itself, mean over positions",
  "to the previous": "attention to the position before, mean over positions",
  "to the next": "attention to the position after, mean over positions",
  "to special tokens": "attention to special tokens, mean over positions",
  entropy: "entropy of the attention in bits, mean over positions",
  role: "the head's role, as the comparison found it",
};

/**
 * @param {Context} context
 * @param {number} width
 * @param {number | null} tall
 * @returns {Scene}
 */
function gridView(context, width, tall) {
  const measure = state.measure;
  const plates =
    measure === "pattern"
      ? patternPlates(context)
      : measure === "role"
        ? rolePlates(context)
        : valuePlates(context, measure);
  const across = plates.length > 1 && width > 470 ? plates.length : 1;
  const label = 24;
  const gap = 14;
  const cell = Math.max(
    12,
    Math.min(
      measure === "pattern" ? 60 : 46,
      (width / across - label - gap) / (d3.max(plates, ({ heads }) => heads) ?? 1),
      ((tall ?? 640) / Math.ceil(plates.length / across) - 50) / LAYERS,
    ),
  );
  /** @type {Mark[]} */
  const marks = [];
  const down = cell * (d3.max(plates, ({ layers }) => layers) ?? 1) + 50;
  plates.forEach((plate, number) => {
    const { layers, heads } = plate;
    const x = (number % across) * (width / across) + label;
    const y = Math.floor(number / across) * down + 36;
    marks.push({
      kind: "text",
      x,
      y: y - 26,
      text: short(plate.title, Math.max(14, Math.floor((cell * heads) / 6.2))),
      size: 11,
      bold: true,
    });
    if (plate.canvas)
      marks.push({
        kind: "raster",
        canvas: plate.canvas,
        x,
        y,
        width: cell * heads,
        height: cell * layers,
        at: (shareX, shareY) => gridCell(plate, Math.floor(shareY * layers), Math.floor(shareX * heads)),
      });
    marks.push(...gridFrames(plate, { x, y, cell }));
  });
  const note = `${MEASURE_HELP[measure] ?? measure}. A click shows a head, with Shift it is chosen or left out.${context.diff && measure !== "role" ? noDifference(SAME_SHAPE) : ""}`;
  return {
    width,
    height: Math.ceil(plates.length / across) * down,
    marks,
    note: note.charAt(0).toUpperCase() + note.slice(1),
    table: () => gridTable(context),
  };
}

/**
 * @param {Plate} plate
 * @param {{ x: number, y: number, cell: number }} options
 * @returns {Mark[]}
 */
function gridFrames(plate, { x, y, cell }) {
  const names = headNames();
  /** @type {Mark[]} */
  const marks = [];
  for (let layer = 1; layer <= plate.layers; layer += 1) {
    marks.push({
      kind: "text",
      x: x - 6,
      y: y + (layer - 0.5) * cell,
      text: String(layer),
      size: 10,
      anchor: "end",
      bold: layer === state.layer,
      fill: colours().soft,
      is: { layer },
    });
    for (let head = 1; head <= plate.heads; head += 1) {
      if (layer === 1)
        marks.push({
          kind: "text",
          x: x + (head - 0.5) * cell,
          y: y - 9,
          text: String(head),
          size: 10,
          anchor: "middle",
          fill: colours().soft,
        });
      /** @type {RectMark} */
      const box = { kind: "rect", x: x + (head - 1) * cell, y: y + (layer - 1) * cell, width: cell, height: cell };
      const text = plate.texts?.[layer - 1][head - 1];
      if (text)
        marks.push(
          { ...box, fill: text.fill, ...gridCell(plate, layer - 1, head - 1) },
          {
            kind: "text",
            x: box.x + cell / 2,
            y: box.y + cell / 2,
            text: short(text.text, Math.max(2, Math.floor(cell / (0.6 * Math.max(7, Math.min(11, cell / 4)))))),
            size: Math.max(7, Math.min(11, cell / 4)),
            anchor: "middle",
            fill: text.ink,
            quiet: true,
          },
        );
      if (names.has(`${layer}.${head}`))
        marks.push({
          ...box,
          x: box.x + 1.5,
          y: box.y + 1.5,
          width: cell - 3,
          height: cell - 3,
          stroke: colours().word,
          line: 2.5,
          quiet: true,
        });
      if (layer === state.layer && head === state.head)
        marks.push({ ...box, stroke: colours().target, line: 2.5, quiet: true });
    }
  }
  return marks;
}

/**
 * @param {Plate} plate
 * @param {number} layer
 * @param {number} head
 * @returns {Pointed}
 */
function gridCell(plate, layer, head) {
  return {
    is: { layer: layer + 1, head: head + 1 },
    tip: () => [`head ${head + 1} of layer ${layer + 1}`, ...plate.lines(layer, head)],
  };
}

/**
 * @param {Context} context
 * @returns {Cell[][]}
 */
function gridTable(context) {
  const { measure } = state;
  const both = context.sides.length === 2;
  const every = d3.cross(
    d3.range(d3.max(context.sides, ({ layers }) => layers) ?? 0),
    d3.range(d3.max(context.sides, ({ heads }) => heads) ?? 0),
  );
  if (measure === "role")
    return [
      ["layer", "head", ...context.names],
      ...every.map(([layer, head]) => [
        layer + 1,
        head + 1,
        ...context.numbers.map((number) => (data.roles ?? [])[number][layer]?.[head]),
      ]),
    ];
  if (measure === "pattern") return patternTable(context, every);
  const tables = headValues(context, measure);
  const names = tables.length === 1 ? [measure] : both ? ["first", "second"] : [measure];
  return [
    ["layer", "head", ...names],
    ...every.map(([layer, head]) => [layer + 1, head + 1, ...tables.map((table) => table[layer]?.[head])]),
  ];
}

/**
 * @param {Context} context
 * @param {[number, number][]} every
 * @returns {Cell[][]}
 */
function patternTable(context, every) {
  /** @type {Cell[][]} */
  const rows = [["layer", "head", "position", "token", ...valueNames(context)]];
  for (const [layer, head] of every) {
    for (let position = 0; position < context.size; position += 1) {
      for (let token = 0; token < context.size; token += 1)
        rows.push([
          layer + 1,
          head + 1,
          position,
          token,
          ...context.sides.map((side) =>
            layer < side.layers && head < side.heads ? side.weight(layer, head, position, token) : null,
          ),
        ]);
    }
  }
  return rows;
}

export const grid = {
  name: "grid",
  column: 1,
  title: "Head grid",
  help: "Layers by heads",
  draw: gridView,
  uses: [...SEEN, "measure", "head", "heads", "asked"],
  fields: { measure: ["grid", "pattern", among(...MEASURES)] },
  controls: () => [
    chooser(
      "measure",
      MEASURES.map((name) => [name, inUnits(name)]),
      "What the grid shows (key g)",
    ),
  ],
  keys: [[["g"], "next measure of the head grid", cycle("measure", MEASURES)]],
  arrows: {
    ArrowUp: stepped("layer", -1, 1, () => LAYERS),
    ArrowDown: stepped("layer", 1, 1, () => LAYERS),
    ArrowLeft: stepped("head", -1, 0, () => HEADS),
    ArrowRight: stepped("head", 1, 0, () => HEADS),
  },
};
