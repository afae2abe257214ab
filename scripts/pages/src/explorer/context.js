// All that the views draw from: one sentence, what is chosen, and the arcs that follow from both.

import * as d3 from "../shared/d3.js";
import { attentionArcs, fused, mixingOf, shareArcs, unit } from "./graph.js";
import { layerIn } from "./layers.js";
import { maximumFlow } from "./maxflow.js";
import { data, SAME_DEPTH } from "./page.js";
import { largest } from "./select.js";
import { headsChosen, state } from "./state.js";

const ARCS = 300; // most arcs that are drawn; the table of numbers has them all
const AUTOMATIC = 70; // how many arcs between different positions a threshold that nobody chose leaves
const STRONGER = 2; // how many times as strong an arc of one model must be to count as that model's

/**
 * The numbers of the models that are shown. In a difference both are.
 *
 * @param {Sentence} sentence
 */
function shownSides(sentence) {
  if (state.models === "a") return [0];
  return state.models === "b" ? [1] : sentence.sides.map((_, number) => number);
}

// A trace that asks for a word goes back from the position until one is chosen.
function traceNow() {
  if (state.word === null && (state.trace === "forward" || state.trace === "both" || state.strength === "flow"))
    return "back";
  if (state.strength === "flow") return "both";
  return state.trace === "all" && state.strength !== "attention" ? "back" : state.trace;
}

// A flow goes from one word to one position: until a word is chosen, shares are shown.
const strengthNow = () => (state.strength === "flow" && state.word === null ? "share" : state.strength);

/**
 * The layers of the arcs, as far as a side has them; beyond its last layer that last one.
 *
 * @param {Side} side
 */
const rangeIn = (side) => ({ from: Math.min(state.from, side.layers), to: Math.min(state.to, side.layers) });

/**
 * @param {Side} side
 * @param {string} strength
 * @param {string} trace
 * @param {number} threshold
 * @returns {Graph}
 */
function arcsOf(side, strength, trace, threshold) {
  const chosen = headsChosen();
  const { from, to } = rangeIn(side);
  const layers = d3.range(from - 1, to);
  const { size } = side;
  // A trace or a strength that asks for a word is not there without one.
  const word = state.word ?? 0;
  if (strength === "attention") {
    const attention = layers.map((layer) => withoutSpecial(side, fused(side, layer, chosen)));
    return { from, ...attentionArcs(attention, size, trace, state.position, word, threshold) };
  }
  const mixings = layers.map((layer) => mixingOf(fused(side, layer, chosen), size, data.settings.residual));
  if (strength === "flow") return { from, ...maximumFlow(mixings, size, word, state.position) };
  const words = trace === "back" ? plainWords(side) : unit(size, word);
  return { from, ...shareArcs(mixings, size, trace === "forward" ? null : state.position, words) };
}

/**
 * Whether a token stands in the pictures: special ones only when they are asked for, or chosen.
 *
 * @param {Side} side
 * @param {number} token
 */
export const stands = (side, token) =>
  state.special === "1" || side.source[token] >= 0 || token === state.position || token === state.word;

/**
 * The words whose shares are shown, where those of special tokens are not: 1 for each; null for all tokens.
 *
 * @param {Side} side
 */
function plainWords(side) {
  const words = Float64Array.from(side.source, (place) => Number(place >= 0));
  // A text of special tokens alone keeps them: else nothing would be left.
  return state.special === "1" || !words.includes(1) ? null : words;
}

/**
 * Attention between the tokens that stand in the pictures; that of the others is 0.
 *
 * @param {Side} side
 * @param {Matrix} attention
 */
function withoutSpecial(side, attention) {
  const { size } = side;
  if (side.source.every((_, token) => stands(side, token))) return attention;
  return attention.map((weight, index) =>
    stands(side, index % size) && stands(side, Math.floor(index / size)) ? weight : 0,
  );
}

/**
 * @param {Sentence} sentence
 * @returns {Context}
 */
export function contextOf(sentence) {
  const numbers = shownSides(sentence);
  const sides = numbers.map((number) => sentence.sides[number]);
  const strength = strengthNow();
  const trace = traceNow();
  const size = sides[0].size;
  const diff = state.models === "diff";
  const before = sides.map((side) => arcsOf(side, strength, strength === "attention" ? "all" : trace, 0));
  const threshold =
    state.threshold ??
    automatic(
      before.map(({ arcs }) => arcs),
      size,
      diff,
    );
  const graphs = strength === "attention" ? sides.map((side) => arcsOf(side, strength, trace, threshold)) : before;
  // What a Sankey diagram needs is conserved from layer to layer: shares or a flow, never attention.
  const conserved =
    strength === "attention" ? sides.map((side) => arcsOf(side, "share", trace === "all" ? "back" : trace, 0)) : before;
  const shared = { sentence, strength, trace, size, threshold, words: sides[0].words };
  const names = numbers.map((number) => data.models[number].name);
  const found = /** @type {Context} */ ({ ...shared, numbers, sides, diff, graphs, conserved, names });
  // Arcs of models of different depth are no arcs of one graph: each model has a picture of its own.
  const pictures = /** @type {Picture[]} */ (
    sides.length === 1 || SAME_DEPTH
      ? [found]
      : sides.map((side, at) => ({
          ...shared,
          numbers: [numbers[at]],
          sides: [side],
          diff: false,
          graphs: [graphs[at]],
          names: [names[at]],
        }))
  );
  for (const picture of pictures) {
    Object.assign(picture, rangeIn(picture.sides[0]), { layer: layerIn(picture.sides[0]) });
    Object.assign(picture, combined(picture));
  }
  return { ...found, pictures };
}

/**
 * The threshold that leaves about as many arcs as can be told apart, rounded down to two digits.
 *
 * @param {Matrix[][]} graphs
 * @param {number} size
 * @param {boolean} diff
 */
function automatic(graphs, size, diff) {
  const together = graphs.length === 1 || SAME_DEPTH;
  const most = together ? AUTOMATIC : 2 * AUTOMATIC;
  const values = new Float64Array(d3.sum(graphs, (arcs) => arcs.length) * size * size);
  let count = 0;
  for (const arcs of together ? [graphs[0]] : graphs) {
    arcs.forEach((first, step) => {
      const second = (together && graphs[1]?.[step]) || first;
      for (let index = 0; index < first.length; index += 1) {
        const a = first[index];
        const b = second[index];
        const value = diff && together ? Math.abs(b - a) : Math.max(a, b);
        if (value > 0 && index % (size + 1)) values[count++] = value;
      }
    });
  }
  if (!count) return 0;
  const value = largest(values.subarray(0, count), Math.min(count, most));
  const unitOf = 10 ** (Math.floor(Math.log10(value)) - 1);
  return Math.min(1, Number((Math.floor(value / unitOf) * unitOf).toPrecision(2)));
}

/**
 * Visits the arcs of at least the threshold in one model or both: where, the value of each, and what it is by.
 *
 * @param {Pick<Picture, "graphs" | "diff" | "threshold">} picture
 * @param {(step: number, index: number, a: number, b: number, value: number) => void} visit
 */
function visitArcs({ graphs, diff, threshold }, visit) {
  graphs[0].arcs.forEach((first, step) => {
    const second = graphs[1]?.arcs[step];
    for (let index = 0; index < first.length; index += 1) {
      const a = first[index];
      const b = second ? second[index] : a;
      const value = diff ? Math.abs(b - a) : Math.max(a, b);
      if (value >= threshold && value > 0) visit(step, index, a, b, value);
    }
  });
}

/**
 * The strongest arcs first: layer from 1, position above, token below. `kind` is a or b where that model's is at least
 * twice as strong (in a difference: stronger), shared where neither is, only where one model is looked at.
 *
 * @param {Pick<Picture, "graphs" | "size" | "diff" | "threshold" | "from">} picture
 * @param {number} least
 */
function arcsFrom(picture, least) {
  const { graphs, size, diff, from } = picture;
  const alone = graphs.length === 1;
  /** @type {Arc[]} */
  const arcs = [];
  visitArcs(picture, (step, index, a, b, value) => {
    if (value >= least)
      arcs.push({
        layer: from + step,
        to: Math.floor(index / size),
        from: index % size,
        a,
        b,
        value,
        kind: kindOf(a, b, diff, alone),
      });
  });
  return arcs.sort(
    (one, other) => other.value - one.value || one.layer - other.layer || one.to - other.to || one.from - other.from,
  );
}

/**
 * All arcs over the threshold, for tables.
 *
 * @param {Picture} picture
 */
export const arcsOver = (picture) => arcsFrom(picture, 0);

/**
 * The arcs that are drawn; how many there are, from a position to itself, and of each kind between two; the strongest
 * between two.
 *
 * @param {Pick<Picture, "graphs" | "size" | "diff" | "threshold" | "from">} picture
 */
function combined(picture) {
  const { graphs, size, diff } = picture;
  const alone = graphs.length === 1;
  const counts = { shared: 0, a: 0, b: 0, only: 0 };
  const values = new Float64Array(graphs[0].arcs.length * size * size);
  let over = 0;
  let own = 0;
  let strongest = 0;
  let any = 0;
  visitArcs(picture, (_step, index, a, b, value) => {
    values[over++] = value;
    if (value > any) any = value;
    // What a position keeps of itself is drawn, and counted apart.
    if (index % (size + 1) === 0) {
      own += 1;
      return;
    }
    counts[kindOf(a, b, diff, alone)] += 1;
    if (value > strongest) strongest = value;
  });
  const least = over > ARCS ? largest(values.subarray(0, over), ARCS) : 0;
  return { arcs: arcsFrom(picture, least).slice(0, ARCS), over, own, counts, strongest: strongest || any };
}

/**
 * Which model an arc speaks for. It is their ratio that says so: a threshold between two weights that are alike does not.
 *
 * @param {number} a
 * @param {number} b
 * @param {boolean} diff
 * @param {boolean} alone
 * @returns {ArcKind}
 */
export function kindOf(a, b, diff, alone) {
  if (alone) return "only";
  if (diff) return b > a ? "b" : "a";
  if (a >= STRONGER * b) return "a";
  return b >= STRONGER * a ? "b" : "shared";
}
