// Marks and texts that several views share.

// How wide and how strong an arc is drawn, against the strongest between two positions.
const ofStrongest = (context, value) => Math.min(1.4, value / (context.strongest || 1));
const arcLine = (context, value) => 0.6 + 5 * Math.sqrt(ofStrongest(context, value));

function arcMark(context, arc, d) {
  const share = Math.min(1, ofStrongest(context, arc.value));
  return { kind: "path", d, stroke: colourOf(arc.kind), line: arcLine(context, arc.value), opacity: 0.3 + 0.6 * Math.sqrt(share), dash: DASH[arc.kind], className: `arc ${arc.kind}`, is: { layer: arc.layer, ...(arc.layer === state.from ? { word: arc.from } : {}) }, tip: () => arcTip(context, arc) };
}

const STRENGTH = {
  attention: "attention",
  share: { back: "share of the position", forward: "share from the word", both: "share of the position from the word" },
  flow: "flow from the word to the position",
};

const strengthName = ({ strength, trace }) => STRENGTH[strength][trace] ?? STRENGTH[strength];

function arcTip(context, arc) {
  const { words } = context, values = context.sides.length === 2 ? [arc.a, arc.b] : [arc.a];
  const kind = { shared: "in both models", a: context.diff ? `stronger in ${data.models[0].name}` : `only in ${data.models[0].name}`, b: context.diff ? `stronger in ${data.models[1]?.name}` : `only in ${data.models[1]?.name}` }[arc.kind];
  return [`${words[arc.from]} (${arc.from}) → ${words[arc.to]} (${arc.to})`, ["layer", arc.layer], ["what", strengthName(context)], ...perModel(context, values), ...(kind ? [["over the threshold", kind]] : [])];
}

function nodeMark(context, step, position, { x, y }, value) {
  const isWord = step === 0, chosen = isWord && position === state.word;
  const r = context.strength === "attention" ? (value ? 2 : 0.8) : 0.8 + 6 * Math.sqrt(Math.max(0, value));
  return { kind: "circle", x, y, r, fill: chosen ? colours().word : colours().fore, opacity: value ? 0.75 : 0.3, className: "node", is: isWord ? { word: position } : { position, layer: state.from - 1 + step }, tip: () => nodeTip(context, step, position) };
}

// Nodes through which next to nothing passes are dots in one path; a word is never one of them.
const isSmall = (mark) => mark.r < 1.8 && mark.is.word === undefined;
const dotsMark = (nodes) => ({ kind: "path", d: nodes.map(({ x, y }) => `M${round(x)},${round(y)}h0`).join("") || "M0,0", stroke: colours().fore, line: 1.8, cap: "round", opacity: 0.3, className: "mute" });

function nodeTip(context, step, position) {
  const layer = state.from - 1 + step;
  const lines = context.strength === "attention" ? [] : perModel(context, context.graphs.map(({ nodes }) => nodes[step][position]));
  return [`${context.words[position]} at position ${position}`, [layer ? "after layer" : "input", layer ? layer : "the word"], ...(lines.length ? [["what", strengthName(context)]] : []), ...lines];
}

function wordTip(context, token) {
  const lines = perModel(context, valuesOf(context, state.method).map((row) => row?.[token]));
  return [`${context.words[token]} at position ${token}`, ["what", `${state.method} to position ${state.position}, layer ${state.layer}`], ...lines];
}

// A method's values of the chosen position and layer, a row a model; null where it was not asked for.
const valuesOf = (context, method, layer = state.layer) => context.sides.map((side) => side.row(method, layer - 1, state.position));

// How a word's label looks: chosen, asked for, special.
function wordLook(context, token) {
  if (token === state.word) return { fill: colours().word, bold: true };
  if (token === state.position) return { fill: colours().target, bold: true };
  return { fill: context.sides[0].source[token] < 0 ? colours().soft : colours().fore };
}

function arcsNote(context) {
  const { arcs, every, over, threshold, size } = context;
  const counts = {};
  for (const { kind } of every) counts[kind] = (counts[kind] ?? 0) + 1;
  const parts = [`${over} arcs of at least ${digits(threshold)}${over > arcs.length ? `, the strongest ${arcs.length} drawn` : ""}`];
  if (context.sides.length === 2) {
    const [a, b] = data.models.map((model) => model.name);
    if (context.diff) parts.push(`stronger in ${b}: ${counts.b ?? 0}, in ${a}: ${counts.a ?? 0}`);
    else parts.push(`in both: ${counts.shared ?? 0}, only in ${a}: ${counts.a ?? 0}, only in ${b}: ${counts.b ?? 0}`);
  }
  if (context.strength === "flow" && context.sides.length) {
    const values = context.graphs.map((graph) => digits(graph.value));
    parts.push(`maximum flow ${values.join(" and ")}`);
  }
  if (state.strength === "flow" && state.word === null) parts.push("a flow needs a word: choose one (shares are shown until then)");
  return `${strengthName(context)}, layers ${state.from} to ${state.to} of ${size} positions: ${parts.join("; ")}.`;
}

function arcsTable(context) {
  const both = context.sides.length === 2;
  const head = ["layer", "from_position", "from_token", "to_position", "to_token", ...(both ? ["first", "second"] : ["value"]), "kind"];
  const token = (position) => context.sides[0].tokens[position];
  return [head, ...context.every.map((arc) => [arc.layer, arc.from, token(arc.from), arc.to, token(arc.to), ...(both ? [arc.a, arc.b] : [arc.a]), arc.kind])];
}
