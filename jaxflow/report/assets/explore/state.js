// What is chosen, all of it in one place, and in the page's address, so that a finding can be shared.

const within = (low, high) => (text) => (/^\d+$/.test(text) && Number(text) >= low && Number(text) <= high ? Number(text) : undefined);
const among = (...names) => (text) => (names.includes(text) ? text : undefined);
const anything = (text) => text;

const VIEWS = ["rings", "sankey", "network", "heat", "grid", "words", "ask", "predictions"];
const MODES = PAIR ? ["both", "diff", "a", "b"] : ["a"];
const MEASURES = ["pattern", ...(PAIR && SAME_SHAPE ? ["change"] : []), ...data.measures, ...(data.roles ? ["role"] : []), "to the word", "from the position", "to itself", "to the previous", "to the next", "to special tokens", "entropy"];

// Name in the address, first value, and how it is read from the address (undefined: not understood, left out).
const FIELDS = {
  sentence: ["s", 0, within(0, data.sentences.length - 1)],
  position: ["p", 0, within(0, 1e5)],
  word: ["w", null, within(0, 1e5)],
  layer: ["l", LAYERS, within(1, LAYERS)],
  from: ["from", 1, within(1, LAYERS)],
  to: ["to", LAYERS, within(1, LAYERS)],
  head: ["h", 0, within(0, HEADS)], // 0 is all that are chosen, fused
  heads: ["heads", "", (text) => (/^(\d+\.\d+_?)*$/.test(text) ? text : undefined)],
  models: ["m", MODES[0], among(...MODES)],
  strength: ["by", "share", among("share", "attention", "flow")],
  trace: ["trace", "back", among("back", "forward", "both", "all")],
  threshold: ["over", null, (text) => (Number(text) >= 0 && Number(text) <= 1 && text !== "" ? Number(text) : undefined)],
  method: ["method", data.methods.includes("rollout") ? "rollout" : data.methods[0], among(...data.methods)],
  map: ["map", "heads", among("heads", "method", "layers")],
  measure: ["grid", "pattern", among(...MEASURES)],
  order: ["words", "text", among("text", "value", "change")],
  asked: ["ask", "all", among("all", "position", "everywhere")],
  view: ["view", "", among("", ...VIEWS)],
  sort: ["sort", "order", among("order", "change", "moved", "loss", "confidence", "prediction")],
  search: ["q", "", anything],
  cell: ["cell", "", anything],
  theme: ["theme", "", among("", "light", "dark")],
};

const state = Object.fromEntries(Object.entries(FIELDS).map(([name, [, first]]) => [name, first]));

function toHash() {
  const parts = new URLSearchParams();
  for (const [name, [short, first]] of Object.entries(FIELDS)) {
    if (state[name] !== first && state[name] !== null) parts.set(short, String(state[name]));
  }
  return parts.toString();
}

// Values of an address; what is not in it, or not understood, is as at first.
function fromHash(hash) {
  const parts = new URLSearchParams(hash.replace(/^#/, "")), found = {};
  for (const [name, [short, first, read]] of Object.entries(FIELDS)) {
    found[name] = parts.has(short) ? (read(parts.get(short)) ?? first) : first;
  }
  return found;
}

// Brings what is chosen into what there is, for a sentence.
function fit(sentence) {
  const size = sentence.sides[0].size;
  if (state.position >= size) state.position = 0;
  if (state.word !== null && state.word >= size) state.word = null;
  if (state.from > state.to) state.to = state.from;
  if (!headsChosen()) state.heads = "";
}

// Heads by layer (from 0) where not all are chosen, else null. A layer none of whose heads is chosen keeps them all.
function headsChosen() {
  if (!state.heads) return null;
  const found = new Map();
  for (const name of state.heads.split("_").filter(Boolean)) {
    const [layer, head] = name.split(".").map(Number);
    if (layer < 1 || layer > LAYERS || head < 1 || head > HEADS) continue;
    found.set(layer - 1, [...(found.get(layer - 1) ?? []), head - 1]);
  }
  return found.size ? found : null;
}

const headNames = () => new Set(state.heads.split("_").filter(Boolean));
