// All that the views draw from: one sentence, what is chosen, and the arcs that follow from both.

const ARCS = 300; // most arcs that are drawn; the table of numbers has them all
const AUTOMATIC = 70; // how many arcs a threshold that nobody chose leaves

// The numbers of the models that are shown. In a difference both are.
function shownSides(sentence) {
  if (state.models === "a") return [0];
  return state.models === "b" ? [1] : sentence.sides.map((_, number) => number);
}

// A trace that asks for a word goes back from the position until one is chosen.
function traceNow() {
  if (state.word === null && (state.trace === "forward" || state.trace === "both" || state.strength === "flow")) return "back";
  if (state.strength === "flow") return "both";
  return state.trace === "all" && state.strength !== "attention" ? "back" : state.trace;
}

// A flow goes from one word to one position: until a word is chosen, shares are shown.
const strengthNow = () => (state.strength === "flow" && state.word === null ? "share" : state.strength);

function arcsOf(side, strength, trace, threshold) {
  const chosen = headsChosen(), layers = d3.range(state.from - 1, state.to), { size } = side;
  if (strength === "attention") {
    const attention = layers.map((layer) => fused(side, layer, chosen));
    return attentionArcs(attention, size, trace, state.position, state.word, threshold);
  }
  const mixings = layers.map((layer) => mixingOf(side, layer, chosen));
  if (strength === "flow") return maximumFlow(mixings, size, state.word, state.position);
  return shareArcs(mixings, size, trace, state.position, state.word);
}

function contextOf(sentence) {
  const numbers = shownSides(sentence), sides = numbers.map((number) => sentence.sides[number]);
  const strength = strengthNow(), trace = traceNow(), size = sides[0].size;
  const diff = state.models === "diff";
  const before = sides.map((side) => arcsOf(side, strength, strength === "attention" ? "all" : trace, 0));
  const threshold = state.threshold ?? automatic(before.map(({ arcs }) => arcs), size, diff);
  const graphs = strength === "attention" ? sides.map((side) => arcsOf(side, strength, trace, threshold)) : before;
  // What a Sankey diagram needs is conserved from layer to layer: shares or a flow, never attention.
  const conserved = strength === "attention" ? sides.map((side) => arcsOf(side, "share", trace === "all" ? "back" : trace, 0)) : before;
  const found = { sentence, numbers, sides, strength, trace, size, diff, threshold, graphs, conserved };
  return { ...found, words: sides[0].words, ...combined(found) };
}

// The threshold that leaves about as many arcs as can be told apart, rounded down to two digits.
function automatic(graphs, size, diff) {
  const values = new Float64Array(graphs[0].length * size * size);
  let count = 0;
  graphs[0].forEach((first, step) => {
    const second = graphs[1]?.[step] ?? first;
    for (let i = 0; i < size; i += 1) {
      for (let j = 0; j < size; j += 1) {
        const a = first[i * size + j], b = second[i * size + j], value = diff ? Math.abs(b - a) : Math.max(a, b);
        if (i !== j && value > 0) values[count++] = value;
      }
    }
  });
  if (!count) return 0;
  const sorted = values.subarray(0, count).sort(), value = sorted[Math.max(0, count - AUTOMATIC)];
  const unitOf = 10 ** (Math.floor(Math.log10(value)) - 1);
  return Math.min(1, Number((Math.floor(value / unitOf) * unitOf).toPrecision(2)));
}

// Arcs of at least the threshold in one model or both, the strongest first: layer from 1, position above, token below.
// `kind` is a or b where only that model's is as strong (in a difference: which model's is stronger), shared where both
// are, only where one model is looked at.
function combined({ graphs, numbers, size, diff, threshold }) {
  const arcs = [];
  graphs[0].arcs.forEach((first, step) => {
    const second = graphs[1]?.arcs[step];
    for (let index = 0; index < size * size; index += 1) {
      const a = first[index], b = second ? second[index] : a;
      const value = diff ? Math.abs(b - a) : Math.max(a, b);
      if (value < threshold || value <= 0) continue;
      arcs.push({ layer: state.from + step, to: Math.floor(index / size), from: index % size, a, b, value, kind: kindOf(a, b, threshold, diff, !second) });
    }
  });
  arcs.sort((one, other) => other.value - one.value || one.layer - other.layer || one.to - other.to || one.from - other.from);
  return { arcs: arcs.slice(0, ARCS), every: arcs, over: arcs.length, strongest: arcs.find(({ from, to }) => from !== to)?.value ?? arcs[0]?.value ?? 0, names: numbers.map((number) => data.models[number].name) };
}

function kindOf(a, b, threshold, diff, alone) {
  if (alone) return "only";
  if (diff) return b > a ? "b" : "a";
  if (a >= threshold && b >= threshold) return "shared";
  return a >= threshold ? "a" : "b";
}
