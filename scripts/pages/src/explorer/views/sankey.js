// Sankey diagram: what the chosen position is made of, traced from the words (left) through the layers (right).
//
// A position's height is what passes through it, a ribbon's width what passes along the arc; both keep their place
// when thin ribbons are left out, so that what is missing shows as a gap.

import * as d3 from "../../shared/d3.js";
import { colours, linear } from "../colours.js";
import { nodeHeights } from "../graph.js";
import { movedApart, nameIn } from "../labels.js";
import { noDifference, valueNames } from "../layers.js";
import { strengthName, wordLook, wordTip } from "../marks.js";
import { digits, perModel } from "../numbers.js";
import { inUnits, PAIR, SAME_DEPTH } from "../page.js";
import { curveFrom, lineFrom } from "../scene.js";
import { state } from "../state.js";
import { ARC_FIELDS } from "../uses.js";

const RIBBONS = 180; // most that are drawn
const LABEL = 11; // height of a label
const THIN = 4; // nodes of less height are drawn in one go, as nobody could point at them

/**
 * @param {Context} context
 * @param {number} width
 * @param {number | null} tall
 * @returns {Scene}
 */
function sankeyView(context, width, tall) {
  const height = tall ?? (context.size > 30 ? 520 : 400);
  const gapBetween = 34;
  const diff = context.diff && SAME_DEPTH;
  const stacks = diff ? [context.conserved] : context.conserved.map((graph) => [graph]);
  const each = (height - gapBetween * (stacks.length - 1)) / stacks.length;
  /** @type {Mark[]} */
  const marks = [];
  let drawn = 0;
  stacks.forEach((graphs, number) => {
    const top = number * (each + gapBetween) + 18;
    const heading = diff ? `${context.names[1]} − ${context.names[0]}` : context.names[number];
    marks.push({
      kind: "text",
      x: 4,
      y: top - 9,
      text: heading,
      size: 11,
      bold: true,
      fill: stacks.length > 1 ? colours()["ab"[context.numbers[number]]] : colours().fore,
    });
    const found = sankeyOf(context, graphs, number, { width, height: each - 30, top: top + 4 });
    drawn += found.drawn;
    marks.push(...found.marks);
  });
  const what =
    context.strength === "attention"
      ? "share of the position (attention does not add up along paths)"
      : strengthName(context);
  return {
    width,
    height: height + 4,
    marks,
    note: `${what}; ${drawn} ribbons of at least ${digits(ribbonThreshold(context))}.${context.diff ? noDifference(diff) : ""}`,
    table: () => sankeyTable(context),
  };
}

/**
 * Where the arcs of the other views are attention, ribbons have a threshold of their own.
 *
 * @param {Context} context
 */
const ribbonThreshold = (context) => (context.strength === "attention" ? 0.01 : context.threshold);

/**
 * @param {Context} context
 * @param {Graph[]} graphs
 * @param {number} number
 * @param {{ width: number, height: number, top: number }} options
 */
function sankeyOf(context, graphs, number, { width, height, top }) {
  const { size } = context;
  const steps = graphs[0].arcs.length;
  const { from } = graphs[0];
  const arcs = graphs[0].arcs.map((first, step) =>
    graphs.length === 2 ? first.map((value, index) => Math.max(value, graphs[1].arcs[step][index])) : first,
  );
  const nodes = nodeHeights(arcs, size);
  const label = Math.min(96, width * 0.2);
  const total = Math.max(...nodes.map((column) => d3.sum(column))) || 1;
  const gap = Math.min(3, (height * 0.25) / size);
  const scale = (height - gap * (size - 1)) / total;
  const x = linear([0, steps], [label, width - label]);
  const tops = nodes.map((column) => {
    const spread = (height - d3.sum(column) * scale - gap * (size - 1)) / 2;
    let at = top + spread;
    return Array.from(column, (value) => (at += value * scale + gap) - value * scale - gap);
  });
  const ribbons = ribbonsOf(context, graphs, arcs, { x, tops, scale }, number);
  /** @type {Mark[]} */
  const marks = [...ribbons];
  /** @type {Tracer[]} */
  const thin = [];
  nodes.forEach((column, step) =>
    column.forEach((value, position) => {
      if (value * scale < THIN && position !== state.word && position !== state.position)
        thin.push(lineFrom(x(step), tops[step][position], x(step), tops[step][position] + value * scale));
    }),
  );
  if (thin.length)
    marks.push({
      kind: "path",
      trace: (pen) => thin.forEach((trace) => trace(pen)),
      stroke: colours().soft,
      line: 6,
      quiet: true,
    });
  nodes.forEach((column, step) =>
    column.forEach((value, position) =>
      marks.push(
        ...sankeyNode(context, {
          step,
          position,
          value,
          x: x(step),
          y: tops[step][position],
          height: value * scale,
          graphs,
        }),
      ),
    ),
  );
  marks.push(...sankeyLabels(context, nodes, tops, scale, { x, steps, top, bottom: top + height }));
  for (let step = 1; step < steps; step += 1) {
    marks.push({
      kind: "text",
      x: x(step),
      y: top + height + 9,
      text: String(from - 1 + step),
      size: 9,
      anchor: "middle",
      fill: colours().soft,
      is: { layer: from - 1 + step },
    });
  }
  return { marks, drawn: ribbons.length };
}

/**
 * @param {Context} context
 * @param {Graph[]} graphs
 * @param {Matrix[]} arcs
 * @param {{ x: (step: number) => number, tops: number[][], scale: number }} options
 * @param {number} number
 * @returns {PathMark[]}
 */
function ribbonsOf(context, graphs, arcs, { x, tops, scale }, number) {
  const { size } = context;
  const threshold = ribbonThreshold(context);
  /** @type {{ value: number, step: number, i: number, j: number, thick: number, below: number, above: number }[]} */
  const found = [];
  const link = d3
    .linkHorizontal()
    .x((end) => end[0])
    .y((end) => end[1]);
  arcs.forEach((matrix, step) => {
    const right = Array.from(tops[step + 1]);
    const left = Array.from(tops[step]);
    for (let i = 0; i < size; i += 1) {
      for (let j = 0; j < size; j += 1) {
        const value = matrix[i * size + j];
        const thick = value * scale;
        if (value >= threshold && value > 0)
          found.push({ value, step, i, j, thick, below: left[j] + thick / 2, above: right[i] + thick / 2 });
        right[i] += thick;
        left[j] += thick;
      }
    }
  });
  found.sort((one, other) => other.value - one.value);
  return found.slice(0, RIBBONS).map((ribbon) => {
    const trace = curveFrom(link, {
      source: [x(ribbon.step) + 3, ribbon.below],
      target: [x(ribbon.step + 1) - 3, ribbon.above],
    });
    return ribbonMark(context, graphs, { ...ribbon, trace }, number);
  });
}

/**
 * @param {Context} context
 * @param {Graph[]} graphs
 * @param {{ step: number, i: number, j: number, trace: Tracer, thick: number }} options
 * @param {number} number
 * @returns {PathMark}
 */
function ribbonMark(context, graphs, { step, i, j, trace, thick }, number) {
  const values = graphs.map((graph) => graph.arcs[step][i * context.size + j]);
  const change = values.length === 2 ? values[1] - values[0] : 0;
  const { from } = graphs[0];
  const diff = graphs.length === 2;
  const stroke = diff
    ? change >= 0
      ? colours().b
      : colours().a
    : PAIR
      ? colours()["ab"[context.numbers[number]]]
      : colours().b;
  const opacity = diff
    ? 0.12 + 0.7 * Math.min(1, Math.abs(change) / (Math.max(...values) || 1))
    : i === j
      ? 0.22
      : 0.42;
  const names = diff ? context.names : [context.names[number]];
  const lines = perModel({ ...context, names }, values);
  const { words } = context;
  return {
    kind: "path",
    trace,
    stroke,
    line: Math.max(0.6, thick),
    opacity,
    glows: true,
    is: { layer: from + step, ...(step ? {} : { word: j }) },
    tip: () => [`${words[j]} (${j}) → ${words[i]} (${i})`, ["layer", from + step], ...lines],
  };
}

/**
 * @param {Context} context
 * @param {{ step: number, position: number, value: number, x: number, y: number, height: number, graphs: Graph[] }} options
 * @returns {RectMark[]}
 */
function sankeyNode(context, { step, position, value, x, y, height, graphs }) {
  if (height < 0.4 || (height < THIN && position !== state.word && position !== state.position)) return [];
  const fill =
    step === 0 && position === state.word
      ? colours().word
      : position === state.position
        ? colours().target
        : colours().soft;
  const { from } = graphs[0];
  const is = step ? { position, layer: from - 1 + step } : { word: position };
  const through = () => graphs.map((graph) => nodeHeights(graph.arcs, context.size)[step][position]);
  return [
    {
      kind: "rect",
      x: x - 3,
      y,
      width: 6,
      height,
      fill,
      is,
      tip: () => [
        `${context.words[position]} at position ${position}`,
        [step ? "after layer" : "input", step ? from - 1 + step : inUnits("the word")],
        ...(graphs.length === 2 ? perModel(context, through()) : [/** @type {TipLine} */ (["share", digits(value)])]),
      ],
    },
  ];
}

/**
 * Names of the words, the chosen one and then the largest where there is no room for all; and of what they arrive at.
 *
 * @param {Context} context
 * @param {Float64Array[]} nodes
 * @param {number[][]} tops
 * @param {number} scale
 * @param {{ x: (step: number) => number, steps: number, top: number, bottom: number }} options
 * @returns {Mark[]}
 */
function sankeyLabels(context, nodes, tops, scale, { x, steps, top, bottom }) {
  /** @type {Mark[]} */
  const marks = [];
  const place = (/** @type {number} */ step, /** @type {boolean} */ left) => {
    const chosen = (/** @type {number} */ position) => Number(position === (left ? state.word : state.position));
    const largest = d3
      .range(context.size)
      .filter((position) => nodes[step][position] > 0)
      .sort((one, other) => chosen(other) - chosen(one) || nodes[step][other] - nodes[step][one])
      .slice(0, Math.max(1, Math.floor((bottom - top) / LABEL)));
    const named = largest.sort((one, other) => tops[step][one] - tops[step][other]);
    const middles = named.map((position) => tops[step][position] + (nodes[step][position] * scale) / 2);
    const places = movedApart(middles, LABEL, top, bottom);
    for (const [number, position] of named.entries()) {
      const y = places[number];
      marks.push({
        kind: "text",
        x: x(step) + (left ? -7 : 7),
        y,
        text: nameIn(context.words[position], 13),
        size: 11,
        anchor: left ? "end" : "start",
        ...wordLook(context, position),
        is: left ? { word: position } : { position },
        tip: () => wordTip(context, position),
      });
    }
  };
  place(0, true);
  place(steps, false);
  return marks;
}

/**
 * @param {Context} context
 * @returns {Cell[][]}
 */
function sankeyTable(context) {
  const { conserved } = context;
  const token = (/** @type {number} */ position) => context.sides[0].tokens[position];
  /** @type {Cell[][]} */
  const rows = [["layer", "from_position", "from_token", "to_position", "to_token", ...valueNames(context)]];
  const deepest = d3.max(conserved, ({ from, arcs }) => from + arcs.length) ?? 0;
  for (let layer = Math.min(...conserved.map(({ from }) => from)); layer < deepest; layer += 1) {
    for (let index = 0; index < context.size ** 2; index += 1) {
      const values = conserved.map(({ from, arcs }) => arcs[layer - from]?.[index]);
      const i = Math.floor(index / context.size);
      const j = index % context.size;
      if (values.some((value) => value > 0)) rows.push([layer, j, token(j), i, token(i), ...values]);
    }
  }
  return rows;
}

export const sankey = {
  name: "sankey",
  column: 1,
  title: "Sankey",
  help: "What the position is made of, from the words through the layers",
  draw: sankeyView,
  uses: ARC_FIELDS,
};
