// Token rings (after DeRose, Wang & Berger 2020): layers as rings, from the words outside to the chosen position in the
// middle; words keep their angles.

import * as d3 from "../../shared/d3.js";
import { short } from "../../shared/text.js";
import { colours, linear } from "../colours.js";
import { nameIn } from "../labels.js";
import { arcMark, dotsMark, isSmall, nodeMark, wordLook, wordTip } from "../marks.js";
import { inUnits } from "../page.js";
import { curveFrom } from "../scene.js";
import { state } from "../state.js";
import { ARC_FIELDS } from "../uses.js";
import { arcsView } from "./arcs.js";

const GAP = 0.3; // angle left free at the top, for the layers' numbers
/**
 * @param {Context} context
 * @param {number} width
 * @param {number | null} tall
 * @returns {Scene}
 */
const ringsView = (context, width, tall) => arcsView(context, width, tall, ringsOf);

/**
 * @param {Picture} context
 * @param {number} width
 * @param {number | null} tall
 * @returns {Drawing}
 */
function ringsOf(context, width, tall) {
  const { size, words, trace } = context;
  const longest = d3.max(words, (word) => Array.from(word).length) ?? 0;
  const side = Math.min(width, tall ?? 620);
  const margin = Math.min(18 + 6.2 * longest, 92, side * 0.17);
  const outer = side / 2 - margin;
  const middle = { x: width / 2, y: side / 2 };
  const steps = context.to - context.from + 1;
  // A trace that ends in one position has it in the middle; else all positions keep a small ring.
  const centred = trace === "back" || trace === "both";
  const inner = centred ? 0 : outer * 0.16;
  const radius = linear([0, steps], [outer, inner]);
  const angle = (/** @type {number} */ position) => GAP / 2 + ((2 * Math.PI - GAP) * (position + 0.5)) / size;
  const place = (/** @type {number} */ step, /** @type {number} */ position) => ({
    angle: angle(position),
    radius: radius(step),
  });
  /** @type {Mark[]} */
  const marks = [];
  for (let step = 0; step <= steps; step += 1) {
    marks.push({
      kind: "circle",
      ...middle,
      r: Math.max(radius(step), 1),
      stroke: colours().line,
      line: context.layer === context.from - 1 + step ? 2 : 0.8,
    });
  }
  const link = d3
    .linkRadial()
    .angle((/** @type {any} */ end) => end.angle)
    .radius((/** @type {any} */ end) => end.radius);
  for (const arc of context.arcs.toReversed()) {
    const step = arc.layer - context.from;
    const source = place(step, arc.from);
    const target = place(step + 1, arc.to);
    if (centred && step === steps - 1) target.angle = source.angle;
    // D3's radial links stand around the origin.
    marks.push({ ...arcMark(context, arc, curveFrom(link, { source, target })), shift: [middle.x, middle.y] });
  }
  for (let step = 0; step <= steps && steps <= 14; step += 1) {
    const name = step ? `${context.from - 1 + step}` : context.from === 1 ? inUnits("words") : `${context.from - 1}`;
    if (radius(step) > 12)
      marks.push({
        kind: "text",
        x: middle.x,
        y: middle.y - radius(step),
        text: name,
        size: 9,
        halo: true,
        anchor: "middle",
        fill: colours().soft,
        is: step ? { layer: context.from - 1 + step } : null,
      });
  }
  marks.push(...ringNodes(context, place, middle, steps, centred));
  for (const token of labelled(context, ((2 * Math.PI - GAP) * (outer + 9)) / size))
    marks.push(ringLabel(context, words[token], token, angle(token), outer, middle, margin));
  if (centred) {
    marks.push({
      kind: "circle",
      ...middle,
      r: 4,
      fill: colours().target,
      tip: () => [`${words[state.position]} at position ${state.position}`, ["layer", context.to]],
    });
    marks.push({
      kind: "text",
      x: middle.x,
      y: middle.y + 13,
      text: short(words[state.position]),
      anchor: "middle",
      size: 11,
      bold: true,
      halo: true,
      fill: colours().target,
    });
  }
  return { height: side, marks };
}

/**
 * @param {Picture} context
 * @param {(step: number, position: number) => { angle: number, radius: number }} place
 * @param {{ x: number, y: number }} middle
 * @param {number} steps
 * @param {boolean} centred
 * @returns {Mark[]}
 */
function ringNodes(context, place, middle, steps, centred) {
  /** @type {Mark[]} */
  const marks = [];
  const dots = [];
  for (let step = 0; step < steps + (centred ? 0 : 1); step += 1) {
    for (let position = 0; position < context.size; position += 1) {
      const value = Math.max(...context.graphs.map(({ nodes }) => nodes[step][position]));
      const { angle, radius } = place(step, position);
      const [x, y] = d3.pointRadial(angle, radius);
      const mark = nodeMark(context, step, position, { x: x + middle.x, y: y + middle.y }, value);
      if (isSmall(mark)) dots.push(mark);
      else marks.push(mark);
    }
  }
  return [dotsMark(dots), ...marks];
}

/**
 * The tokens whose names find room: those that are chosen, then those through which most passes.
 *
 * @param {Picture} context
 * @param {number} apart pixels between two neighbours
 */
function labelled(context, apart) {
  const every = Math.ceil(11 / Math.max(apart, 0.1));
  const weight = (/** @type {number} */ token) =>
    token === state.word || token === state.position
      ? Infinity
      : Math.max(...context.graphs.map(({ nodes }) => nodes[0][token]));
  /** @type {number[]} */
  const found = [];
  for (const token of d3.range(context.size).sort((one, other) => weight(other) - weight(one)))
    if (found.every((other) => Math.abs(other - token) >= every)) found.push(token);
  return found;
}

/**
 * @param {Picture} context
 * @param {string} word
 * @param {number} token
 * @param {number} angle
 * @param {number} outer
 * @param {{ x: number, y: number }} middle
 * @param {number} margin
 * @returns {TextMark}
 */
function ringLabel(context, word, token, angle, outer, middle, margin) {
  const [x, y] = d3.pointRadial(angle, outer + 9);
  const left = angle > Math.PI;
  const turn = (angle * 180) / Math.PI - 90;
  const most = Math.max(5, Math.floor((margin - 12) / 6));
  return {
    kind: "text",
    x: x + middle.x,
    y: y + middle.y,
    text: nameIn(word, most),
    size: 11,
    turn: left ? turn + 180 : turn,
    anchor: left ? "end" : "start",
    ...wordLook(context, token),
    is: { word: token },
    tip: () => wordTip(context, token),
  };
}

export const rings = {
  name: "rings",
  column: 0,
  title: "Token rings",
  help: "Words outside, layers as rings, the position in the middle",
  draw: ringsView,
  uses: [...ARC_FIELDS, "layer"],
};
