// Who attends to the word: the heads of all layers that attend to it most.

const ASKED = 16; // heads that are listed

function askView(context, width) {
  if (state.word === null) return emptyScene(width, "Choose a word, by a click on it anywhere, by Find, or by the keys < and >.");
  const tables = askTables(context);
  if (!tables) return emptyScene(width, "Looking at all sentences …");
  const rows = askRows(context, tables.values).slice(0, ASKED), label = 62, bar = tables.values.length === 2 ? 8 : 13, row = tables.values.length * bar + 5;
  const x = linear([0, d3.max(rows.flatMap(({ values }) => values)) || 1], [label, width - 56]), marks = [];
  rows.forEach(({ layer, head, values }, place) => {
    const y = 8 + place * row, is = { layer: layer + 1, head: head + 1 }, shownNow = state.layer === layer + 1 && state.head === head + 1;
    const tip = () => [`head ${head + 1} of layer ${layer + 1} to ${context.words[state.word]}`, ["who", ASKERS[state.asked]], ...perModel(context, values)];
    marks.push({ kind: "text", x: label - 8, y: y + row / 2 - 2, text: `L${layer + 1} H${head + 1}`, size: 11, anchor: "end", bold: shownNow, fill: shownNow ? colours().target : colours().fore, is, tip });
    values.forEach((value, number) => {
      const fill = PAIR ? colours()["ab"[context.numbers[number]]] : colours().b, top = y + number * bar;
      marks.push({ kind: "rect", x: label, y: top, width: Math.max(0.5, x(value) - label), height: bar - 1, fill, className: "bar", is, tip });
      marks.push({ kind: "text", x: x(value) + 4, y: top + bar / 2, text: digits(value), size: 9, fill: colours().soft });
    });
  });
  const word = context.words[state.word];
  const who = state.asked === "everywhere" ? `${tables.count} occurrences of ${word} in ${tables.sentences} sentences` : `${word} at position ${state.word}`;
  const order = context.diff ? "by the size of the change" : "the strongest first";
  return { width, height: 16 + rows.length * row, marks, note: `Attention to ${who}, ${ASKERS[state.asked]}; ${order}. ${rows.length} of ${LAYERS * HEADS} heads.`, table: () => askTable(context, tables.values) };
}

const ASKERS = { all: "mean over all positions", position: "of the chosen position", everywhere: "mean over all positions and occurrences" };

const emptyScene = (width, text) => ({ width, height: 60, marks: [{ kind: "text", x: 8, y: 26, text: short(text, Math.floor(width / 5.6)), fill: colours().soft }], note: "", table: () => [["nothing"]] });

function askRows(context, tables) {
  const rows = d3.cross(d3.range(LAYERS), d3.range(HEADS), (layer, head) => ({ layer, head, values: tables.map((table) => table[layer][head]) }));
  const key = ({ values }) => (context.diff ? Math.abs(values[1] - values[0]) : Math.max(...values));
  return rows.sort((one, other) => key(other) - key(one));
}

function askTable(context, tables) {
  const both = tables.length === 2;
  return [["layer", "head", "token", "token_text", "who", ...(both ? ["first", "second"] : ["value"])], ...askRows(context, tables).map(({ layer, head, values }) => [layer + 1, head + 1, state.word, context.sides[0].tokens[state.word], state.asked, ...values])];
}

function askTables(context) {
  if (state.asked !== "everywhere") return { values: headValues(context, "to the word") };
  const token = context.sides[0].tokens[state.word], found = everywhere(token);
  return found && { ...found, values: context.numbers.map((number) => found.values[number]) };
}

// Means over all occurrences of a token in the page's sentences; null until they are there.
const occurrences = new Map();

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

async function countEverywhere(token) {
  const values = data.models.map(() => d3.range(LAYERS).map(() => new Float64Array(HEADS)));
  let count = 0, sentences = 0;
  for (const [index, meta] of data.sentences.entries()) {
    const places = meta.sides[0].tokens.flatMap((other, position) => (other === token ? [position] : []));
    if (!places.length) continue;
    const { sides } = await load(index);
    count += places.length;
    sentences += 1;
    for (const place of places) {
      sides.forEach((side, number) => d3.cross(d3.range(LAYERS), d3.range(HEADS)).forEach(([layer, head]) => {
        values[number][layer][head] += d3.mean(d3.range(side.size), (position) => side.weight(layer, head, position, place));
      }));
    }
  }
  return { count, sentences, values: values.map((table) => table.map((row) => Array.from(row, (sum) => sum / count))) };
}
