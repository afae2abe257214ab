// The head grid: a row a layer, a column a head, each showing its pattern or a number.

// A head's number by each measure, for one side.
const HEAD_VALUES = {
  "to the word": (side, layer, head) => (state.word === null ? NaN : d3.mean(positionsAsked(side), (position) => side.weight(layer, head, position, state.word))),
  "from the position": (side, layer, head) => d3.max(d3.range(side.size), (token) => side.weight(layer, head, state.position, token)),
  "to itself": (side, layer, head) => offset(side, layer, head, 0),
  "to the previous": (side, layer, head) => offset(side, layer, head, -1),
  "to the next": (side, layer, head) => offset(side, layer, head, 1),
  "to special tokens": (side, layer, head) => d3.mean(d3.range(side.size), (position) => d3.sum(d3.range(side.size).filter((token) => side.source[token] < 0), (token) => side.weight(layer, head, position, token))),
  entropy: (side, layer, head) => entropyOf(side.head(layer, head), side.size),
};

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

// Who is asked about attention to the word: every position, or the chosen one.
const positionsAsked = (side) => (state.asked === "position" ? [state.position] : d3.range(side.size));

function offset(side, layer, head, by) {
  const positions = d3.range(Math.max(0, -by), Math.min(side.size, side.size - by));
  return d3.mean(positions, (position) => side.weight(layer, head, position, position + by));
}

const entropyOf = (matrix, size) => -d3.sum(matrix, (weight) => (weight > 0 ? weight * Math.log2(weight) : 0)) / size;

// Numbers of all heads, [layer][head], by a measure, a table a model; change has one for both.
function headValues(context, measure) {
  const table = (value) => d3.range(LAYERS).map((layer) => d3.range(HEADS).map((head) => value(layer, head)));
  if (measure === "change") return [table((layer, head) => context.sentence.change[layer * HEADS + head])];
  if (data.measures.includes(measure)) return context.numbers.map((number) => table((layer, head) => headMeasure(number, measure)[layer * HEADS + head]));
  return context.sides.map((side) => table((layer, head) => HEAD_VALUES[measure](side, layer, head)));
}

const measureCache = new Map();
function headMeasure(number, name) {
  const key = `${number} ${name}`;
  if (!measureCache.has(key)) measureCache.set(key, floatsOf(data.models[number].measures[name]));
  return measureCache.get(key);
}

function gridView(context, width, tall) {
  const measure = state.measure;
  const plates = measure === "pattern" ? patternPlates(context) : measure === "role" ? rolePlates(context) : valuePlates(context, measure);
  const across = plates.length > 1 && width > 470 ? plates.length : 1, label = 24, gap = 14;
  const cell = Math.max(12, Math.min(measure === "pattern" ? 60 : 46, (width / across - label - gap) / HEADS, ((tall ?? 640) / Math.ceil(plates.length / across) - 50) / LAYERS));
  const marks = [], down = cell * LAYERS + 50;
  plates.forEach((plate, number) => {
    const x = (number % across) * (width / across) + label, y = Math.floor(number / across) * down + 36;
    marks.push({ kind: "text", x, y: y - 26, text: plate.title, size: 11, bold: true });
    if (plate.canvas) marks.push({ kind: "raster", canvas: plate.canvas, x, y, width: cell * HEADS, height: cell * LAYERS, at: (shareX, shareY) => gridCell(context, plate, Math.floor(shareY * LAYERS), Math.floor(shareX * HEADS)) });
    marks.push(...gridFrames(context, plate, { x, y, cell }));
  });
  const note = `${MEASURE_HELP[measure] ?? measure}. A click shows a head, with Shift it is chosen or left out.`;
  return { width, height: Math.ceil(plates.length / across) * down, marks, note: note.charAt(0).toUpperCase() + note.slice(1), table: () => gridTable(context) };
}

function gridFrames(context, plate, { x, y, cell }) {
  const names = headNames(), marks = [];
  for (let layer = 1; layer <= LAYERS; layer += 1) {
    marks.push({ kind: "text", x: x - 6, y: y + (layer - 0.5) * cell, text: String(layer), size: 10, anchor: "end", bold: layer === state.layer, fill: colours().soft, is: { layer } });
    for (let head = 1; head <= HEADS; head += 1) {
      if (layer === 1) marks.push({ kind: "text", x: x + (head - 0.5) * cell, y: y - 9, text: String(head), size: 10, anchor: "middle", fill: colours().soft });
      const box = { kind: "rect", x: x + (head - 1) * cell, y: y + (layer - 1) * cell, width: cell, height: cell };
      const text = plate.texts?.[layer - 1][head - 1];
      if (text) marks.push({ ...box, fill: text.fill, className: "cell", ...gridCell(context, plate, layer - 1, head - 1) }, { kind: "text", x: box.x + cell / 2, y: box.y + cell / 2, text: text.text, size: Math.min(11, cell / 2.6), anchor: "middle", fill: text.ink, className: "mute" });
      if (names.has(`${layer}.${head}`)) marks.push({ ...box, x: box.x + 1.5, y: box.y + 1.5, width: cell - 3, height: cell - 3, stroke: colours().word, line: 2.5, className: "mute" });
      if (layer === state.layer && head === state.head) marks.push({ ...box, stroke: colours().target, line: 2.5, className: "mute" });
    }
  }
  return marks;
}

function gridCell(context, plate, layer, head) {
  return { is: { layer: layer + 1, head: head + 1 }, tip: () => [`head ${head + 1} of layer ${layer + 1}`, ...plate.lines(layer, head)] };
}

// A byte of attention, being a root so that small weights can be seen, is its own shade.
function patternOf(side, step) {
  const { size, attention } = side, canvas = make("canvas", { width: step * HEADS, height: step * LAYERS });
  const pen = canvas.getContext("2d"), image = pen.createImageData(canvas.width, canvas.height);
  const lookup = pixels("sequential"), out = new Uint32Array(image.data.buffer);
  let byte = 0;
  for (let layer = 0; layer < LAYERS; layer += 1) {
    for (let head = 0; head < HEADS; head += 1) {
      for (let position = 0; position < size; position += 1) {
        const start = (layer * step + position) * canvas.width + head * step;
        for (let token = 0; token < size; token += 1) out[start + token] = lookup[attention[byte++]];
      }
    }
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

const plateCache = { key: "", plates: null };

// Every head's matrix, small, in one picture.
function patternPlates(context) {
  const key = [context.sentence.index, state.models, isDark()].join(" ");
  if (plateCache.key === key) return plateCache.plates;
  const { size, sides } = context, step = size + 1;
  const tables = context.diff ? [null] : sides;
  const plates = tables.map((side, number) => {
    const value = (row, column) => {
      const layer = Math.floor(row / step), head = Math.floor(column / step), position = row % step, token = column % step;
      if (position === size || token === size) return NaN;
      return sides[1].weight(layer, head, position, token) - sides[0].weight(layer, head, position, token);
    };
    const canvas = side ? patternOf(side, step) : rasterOf(step * HEADS, step * LAYERS, value, "diverging", (share) => Math.round(128 + 127 * Math.sign(share) * Math.sqrt(Math.abs(share))));
    const lines = (layer, head) => sides.map((other, at) => [context.names[at], `entropy ${digits(entropyOf(other.head(layer, head), size))} bits`]);
    return { title: side ? context.names[number] : `${context.names[1]} − ${context.names[0]}`, canvas, lines };
  });
  Object.assign(plateCache, { key, plates });
  return plates;
}

function valuePlates(context, measure) {
  const tables = headValues(context, measure);
  const diff = context.diff && tables.length === 2;
  const shownTables = diff ? [tables[1].map((row, layer) => row.map((value, head) => value - tables[0][layer][head]))] : tables;
  const top = d3.max(shownTables.flat(2).filter((value) => !Number.isNaN(value)).map(Math.abs)) || 1;
  return shownTables.map((table, number) => ({
    title: tables.length === 1 ? measure : diff ? `${measure}: ${context.names[1]} − ${context.names[0]}` : `${measure}: ${context.names[number]}`,
    texts: table.map((row) => row.map((value) => valueText(value, top, diff))),
    lines: (layer, head) => (tables.length === 1 && context.sides.length === 2 ? [[measure, digits(tables[0][layer][head])]] : perModel(context, tables.map((each) => each[layer][head]))),
  }));
}

function valueText(value, top, diff) {
  if (Number.isNaN(value)) return { text: "–", fill: colours().back, ink: colours().soft };
  const fill = diff ? diverging(value / top) : sequential(Math.abs(value) / top);
  const text = Math.abs(value) >= 9.95 ? d3.format(".0f")(value) : d3.format(Math.abs(value) < 0.995 ? ".2f" : ".1f")(value).replace(/^(-|−)?0\./, "$1.");
  return { text, fill, ink: inkOn(fill) };
}

const ROLE_FILLS = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999"];

function roleText(role, place) {
  const fill = role ? ROLE_FILLS[place % ROLE_FILLS.length] : colours().back;
  return { text: role ? short(role, 7) : "·", fill, ink: inkOn(fill) };
}

function rolePlates(context) {
  const all = [...new Set(data.roles.flat(2))].filter(Boolean).sort();
  return context.numbers.map((number, at) => ({
    title: `role: ${context.names[at]}`,
    texts: data.roles[number].map((row) => row.map((role) => roleText(role, all.indexOf(role)))),
    lines: (layer, head) => context.numbers.map((other, place) => [context.names[place], data.roles[other][layer][head] || "no role"]),
  }));
}

function gridTable(context) {
  const { measure } = state, both = context.sides.length === 2;
  if (measure === "role") return [["layer", "head", ...context.names], ...d3.cross(d3.range(LAYERS), d3.range(HEADS), (layer, head) => [layer + 1, head + 1, ...context.numbers.map((number) => data.roles[number][layer][head])])];
  if (measure === "pattern") return patternTable(context);
  const tables = headValues(context, measure);
  const names = tables.length === 1 ? [measure] : both ? ["first", "second"] : [measure];
  return [["layer", "head", ...names], ...d3.cross(d3.range(LAYERS), d3.range(HEADS), (layer, head) => [layer + 1, head + 1, ...tables.map((table) => table[layer][head])])];
}

function patternTable(context) {
  const rows = [["layer", "head", "position", "token", ...(context.sides.length === 2 ? ["first", "second"] : ["value"])]];
  for (let layer = 0; layer < LAYERS; layer += 1) {
    for (let head = 0; head < HEADS; head += 1) {
      for (let position = 0; position < context.size; position += 1) {
        for (let token = 0; token < context.size; token += 1) rows.push([layer + 1, head + 1, position, token, ...context.sides.map((side) => side.weight(layer, head, position, token))]);
      }
    }
  }
  return rows;
}
