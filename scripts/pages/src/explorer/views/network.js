// The layered network: words below, layers above them, straight arcs.

import * as d3 from "../../shared/d3.js";
import { colours, linear, points } from "../colours.js";
import { nameIn, withRoom } from "../labels.js";
import { arcMark, dotsMark, isSmall, nodeMark, wordLook, wordTip } from "../marks.js";
import { lineFrom } from "../scene.js";
import { state } from "../state.js";
import { ARC_FIELDS } from "../uses.js";
import { arcsView } from "./arcs.js";

/**
 * @param {Context} context
 * @param {number} width
 * @param {number | null} tall
 * @returns {Scene}
 */
const networkView = (context, width, tall) => arcsView(context, width, tall, networkOf);

/**
 * @param {Picture} context
 * @param {number} width
 * @param {number | null} tall
 * @returns {Drawing}
 */
function networkOf(context, width, tall) {
  const { size, words } = context;
  const steps = context.to - context.from + 1;
  const bottom = 74;
  const left = 40;
  const right = 16;
  const height = tall ?? Math.max(300, Math.min(520, 60 + 36 * steps + bottom));
  const places = points(d3.range(size), [left, width - right]).padding(0.6);
  const x = (/** @type {number} */ position) => places(position) ?? 0;
  const y = linear([0, steps], [height - bottom, 16]);
  /** @type {Mark[]} */
  const marks = [];
  for (let step = 0; step <= steps; step += 1) {
    const layer = context.from - 1 + step;
    const chosen = layer === context.layer;
    marks.push({
      kind: "path",
      trace: lineFrom(left, y(step), width - right, y(step)),
      stroke: colours().line,
      line: chosen ? 2 : 0.8,
    });
    marks.push({
      kind: "text",
      x: left - 8,
      y: y(step),
      text: layer ? String(layer) : "input",
      size: 10,
      anchor: "end",
      bold: chosen,
      fill: colours().soft,
      is: layer ? { layer } : null,
    });
  }
  for (const arc of context.arcs.toReversed()) {
    const step = arc.layer - context.from;
    marks.push(arcMark(context, arc, lineFrom(x(arc.from), y(step), x(arc.to), y(step + 1))));
  }
  const nodes = [];
  for (let step = 0; step <= steps; step += 1) {
    for (let position = 0; position < size; position += 1) {
      const value = Math.max(...context.graphs.map((graph) => graph.nodes[step][position]));
      nodes.push(nodeMark(context, step, position, { x: x(position), y: y(step) }, value));
    }
  }
  marks.push(dotsMark(nodes.filter(isSmall)), ...nodes.filter((mark) => !isSmall(mark)));
  // Words that would stand on one another are left out, but for those that are chosen.
  for (const token of withRoom(size, places.step(), [state.word, state.position])) {
    marks.push({
      kind: "text",
      x: x(token) + 3,
      y: height - bottom + 12,
      text: nameIn(words[token], 11),
      size: 11,
      anchor: "end",
      turn: -52,
      ...wordLook(context, token),
      is: { word: token },
      tip: () => wordTip(context, token),
    });
  }
  marks.push({ kind: "circle", x: x(state.position), y: y(steps), r: 6, stroke: colours().target, line: 2 });
  return { height, marks };
}

export const network = {
  name: "network",
  column: 0,
  title: "Layered network",
  help: "Words below, layers above them",
  draw: networkView,
  uses: [...ARC_FIELDS, "layer"],
};
