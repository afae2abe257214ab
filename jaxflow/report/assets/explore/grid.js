// The head grid: a row a layer, a column a head, each showing its pattern or a number.

// A head's number by each measure, for one side.
const HEAD_VALUES = {
  "to the word": (side, layer, head) => toWord(side, layer, head, state.word, state.asked === "position"),
  "from the position": (side, layer, head) => d3.max(d3.range(side.size), (token) => side.weight(layer, head, state.position, token)),
  "to itself": (side, layer, head) => offset(side, layer, head, 0),
  "to the previous": (side, layer, head) => offset(side, layer, head, -1),
  "to the next": (side, layer, head) => offset(side, layer, head, 1),
  "to special tokens": (side, layer, head) => d3.sum(side.source, (source, token) => (source < 0 ? toWord(side, layer, head, token) : 0)),
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

// Attention to a word, of the chosen position or the mean over all.
function toWord(side, layer, head, word, ofPosition = false) {
  if (word === null) return NaN;
  if (ofPosition) return side.weight(layer, head, state.position, word);
  let sum = 0;
  for (let position = 0; position < side.size; position += 1) sum += side.weight(layer, head, position, word);
  return sum / side.size;
}

function offset(side, layer, head, by) {
  const positions = d3.range(Math.max(0, -by), Math.min(side.size, side.size - by));
  return d3.mean(positions, (position) => side.weight(layer, head, position, position + by));
}

function entropyOf(matrix, size) {
  let sum = 0;
  for (const weight of matrix) if (weight > 0) sum -= weight * Math.log2(weight);
  return sum / size;
}

// Numbers of all heads, [layer][head], by a measure, a table a model; change has one for both.
function headValues(context, measure) {
  const table = (side, value) => d3.range(side.layers).map((layer) => d3.range(side.heads).map((head) => value(layer, head)));
  if (measure === "change") return [table(context.sides[0], (layer, head) => context.sentence.change[layer * HEADS + head])];
  return context.sides.map((side, at) => {
    if (!data.measures.includes(measure)) return table(side, (layer, head) => HEAD_VALUES[measure](side, layer, head));
    const found = headMeasure(context.numbers[at], measure);
    return table(side, (layer, head) => found[layer * side.heads + head]);
  });
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
  const cell = Math.max(12, Math.min(measure === "pattern" ? 60 : 46, (width / across - label - gap) / d3.max(plates, ({ heads }) => heads), ((tall ?? 640) / Math.ceil(plates.length / across) - 50) / LAYERS));
  const marks = [], down = cell * d3.max(plates, ({ layers }) => layers) + 50;
  plates.forEach((plate, number) => {
    const { layers, heads } = plate, x = (number % across) * (width / across) + label, y = Math.floor(number / across) * down + 36;
    marks.push({ kind: "text", x, y: y - 26, text: short(plate.title, Math.max(14, Math.floor((cell * heads) / 6.2))), size: 11, bold: true });
    if (plate.canvas) marks.push({ kind: "raster", canvas: plate.canvas, x, y, width: cell * heads, height: cell * layers, at: (shareX, shareY) => gridCell(context, plate, Math.floor(shareY * layers), Math.floor(shareX * heads)) });
    marks.push(...gridFrames(context, plate, { x, y, cell }));
  });
  const note = `${MEASURE_HELP[measure] ?? measure}. A click shows a head, with Shift it is chosen or left out.${context.diff && measure !== "role" ? noDifference(SAME_SHAPE) : ""}`;
  return { width, height: Math.ceil(plates.length / across) * down, marks, note: note.charAt(0).toUpperCase() + note.slice(1), table: () => gridTable(context) };
}

function gridFrames(context, plate, { x, y, cell }) {
  const names = headNames(), marks = [];
  for (let layer = 1; layer <= plate.layers; layer += 1) {
    marks.push({ kind: "text", x: x - 6, y: y + (layer - 0.5) * cell, text: String(layer), size: 10, anchor: "end", bold: layer === state.layer, fill: colours().soft, is: { layer } });
    for (let head = 1; head <= plate.heads; head += 1) {
      if (layer === 1) marks.push({ kind: "text", x: x + (head - 0.5) * cell, y: y - 9, text: String(head), size: 10, anchor: "middle", fill: colours().soft });
      const box = { kind: "rect", x: x + (head - 1) * cell, y: y + (layer - 1) * cell, width: cell, height: cell };
      const text = plate.texts?.[layer - 1][head - 1];
      if (text) marks.push({ ...box, fill: text.fill, ...gridCell(context, plate, layer - 1, head - 1) }, { kind: "text", x: box.x + cell / 2, y: box.y + cell / 2, text: text.text, size: Math.min(11, cell / 2.6), anchor: "middle", fill: text.ink, quiet: true });
      if (names.has(`${layer}.${head}`)) marks.push({ ...box, x: box.x + 1.5, y: box.y + 1.5, width: cell - 3, height: cell - 3, stroke: colours().word, line: 2.5, quiet: true });
      if (layer === state.layer && head === state.head) marks.push({ ...box, stroke: colours().target, line: 2.5, quiet: true });
    }
  }
  return marks;
}

function gridCell(context, plate, layer, head) {
  return { is: { layer: layer + 1, head: head + 1 }, tip: () => [`head ${head + 1} of layer ${layer + 1}`, ...plate.lines(layer, head)] };
}

// A byte of attention, being a root so that small weights can be seen, is its own shade.
function patternOf(side, step) {
  const { size, attention, layers, heads } = side, canvas = make("canvas", { width: step * heads, height: step * layers });
  const pen = canvas.getContext("2d"), image = pen.createImageData(canvas.width, canvas.height);
  const lookup = pixels("sequential"), out = new Uint32Array(image.data.buffer);
  let byte = 0;
  for (let layer = 0; layer < layers; layer += 1) {
    for (let head = 0; head < heads; head += 1) {
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
  const key = [context.sentence.index, state.models, themeNow()].join(" ");
  if (plateCache.key === key) return plateCache.plates;
  const { size, sides } = context, step = size + 1;
  const tables = context.diff && SAME_SHAPE ? [null] : sides;
  const plates = tables.map((side, number) => {
    const value = (row, column) => {
      const layer = Math.floor(row / step), head = Math.floor(column / step), position = row % step, token = column % step;
      if (position === size || token === size) return NaN;
      return sides[1].weight(layer, head, position, token) - sides[0].weight(layer, head, position, token);
    };
    const canvas = side ? patternOf(side, step) : rasterOf(step * HEADS, step * LAYERS, value, "diverging", (share) => Math.round(128 + 127 * Math.sign(share) * Math.sqrt(Math.abs(share))));
    const lines = (layer, head) => sides.flatMap((other, at) => (layer < other.layers && head < other.heads ? [[context.names[at], `entropy ${digits(entropyOf(other.head(layer, head), size))} bits`]] : []));
    const { layers, heads } = side ?? sides[0];
    return { layers, heads, title: side ? context.names[number] : `${context.names[1]} − ${context.names[0]}`, canvas, lines };
  });
  Object.assign(plateCache, { key, plates });
  return plates;
}

function valuePlates(context, measure) {
  const tables = headValues(context, measure);
  const diff = context.diff && tables.length === 2 && SAME_SHAPE;
  const shownTables = diff ? [tables[1].map((row, layer) => row.map((value, head) => value - tables[0][layer][head]))] : tables;
  const top = d3.max(shownTables.flat(2).filter((value) => !Number.isNaN(value)).map(Math.abs)) || 1;
  return shownTables.map((table, number) => ({
    layers: table.length,
    heads: table[0].length,
    title: tables.length === 1 ? measure : diff ? `${measure}: ${context.names[1]} − ${context.names[0]}` : `${measure}: ${context.names[number]}`,
    texts: table.map((row) => row.map((value) => valueText(value, top, diff))),
    lines: (layer, head) => (tables.length === 1 && context.sides.length === 2 ? [[measure, digits(tables[0][layer][head])]] : perModel(context, tables.map((each) => each[layer]?.[head]))),
  }));
}

function valueText(value, top, diff) {
  if (Number.isNaN(value)) return { text: "–", fill: colours().back, ink: colours().soft };
  const fill = diff ? diverging(value / top) : sequential(Math.abs(value) / top);
  const size = Math.abs(value), text = size.toFixed(size >= 9.95 ? 0 : size >= 0.995 ? 1 : 2).replace(/^0\./, ".");
  return { text: value < 0 && Number(text) ? `−${text}` : text, fill, ink: inkOn(fill) };
}

const ROLE_FILLS = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999"];

function roleText(role, place) {
  const fill = role ? ROLE_FILLS[place % ROLE_FILLS.length] : colours().back;
  return { text: role ? short(role, 7) : "·", fill, ink: inkOn(fill) };
}

function rolePlates(context) {
  const all = [...new Set(data.roles.flat(2))].filter(Boolean).sort();
  return context.numbers.map((number, at) => ({
    layers: data.roles[number].length,
    heads: data.roles[number][0].length,
    title: `role: ${context.names[at]}`,
    texts: data.roles[number].map((row) => row.map((role) => roleText(role, all.indexOf(role)))),
    lines: (layer, head) => context.numbers.map((other, place) => [context.names[place], data.roles[other][layer]?.[head] || "no role"]),
  }));
}

function gridTable(context) {
  const { measure } = state, both = context.sides.length === 2;
  const every = d3.cross(d3.range(d3.max(context.sides, ({ layers }) => layers)), d3.range(d3.max(context.sides, ({ heads }) => heads)));
  if (measure === "role") return [["layer", "head", ...context.names], ...every.map(([layer, head]) => [layer + 1, head + 1, ...context.numbers.map((number) => data.roles[number][layer]?.[head])])];
  if (measure === "pattern") return patternTable(context, every);
  const tables = headValues(context, measure);
  const names = tables.length === 1 ? [measure] : both ? ["first", "second"] : [measure];
  return [["layer", "head", ...names], ...every.map(([layer, head]) => [layer + 1, head + 1, ...tables.map((table) => table[layer]?.[head])])];
}

function patternTable(context, every) {
  const rows = [["layer", "head", "position", "token", ...valueNames(context)]];
  for (const [layer, head] of every) {
    for (let position = 0; position < context.size; position += 1) {
      for (let token = 0; token < context.size; token += 1) rows.push([layer + 1, head + 1, position, token, ...context.sides.map((side) => (layer < side.layers && head < side.heads ? side.weight(layer, head, position, token) : null))]);
    }
  }
  return rows;
}
