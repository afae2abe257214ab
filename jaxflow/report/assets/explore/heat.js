// Heat maps: of attention (a head, or those chosen, fused) or of a method, position by token; or token by layer.

function heatView(context, width, tall) {
  if (state.map === "layers") return layersView(context, width);
  const maps = heatMaps(context), across = maps.length > 1 && width > 470 ? maps.length : 1;
  const { size, words } = context, label = 74;
  const cell = Math.max(3, Math.min(26, (width / across - label - 14) / size, ((tall ?? 560) / Math.ceil(maps.length / across) - label - 26) / size));
  const extent = cell * size, top = maps.top, marks = [];
  maps.forEach((map, number) => {
    const x = (number % across) * (width / across) + label, y = Math.floor(number / across) * (extent + label + 30) + 24;
    const level = map.diverging ? (value) => Math.round(128 + (127 * value) / top) : (value) => Math.round((255 * value) / top);
    const canvas = rasterOf(size, size, (row, column) => map.matrix[row * size + column], map.diverging ? "diverging" : "sequential", level);
    marks.push({ kind: "text", x, y: y - 12, text: map.title, size: 11, bold: true });
    marks.push({ kind: "raster", canvas, x, y, width: extent, height: extent, at: (shareX, shareY) => heatCell(context, maps, Math.floor(shareY * size), Math.floor(shareX * size)) });
    marks.push({ kind: "rect", x, y, width: extent, height: extent, stroke: colours().line });
    marks.push(...heatLabels(context, { x, y, cell, extent }));
    marks.push({ kind: "rect", x, y: y + state.position * cell, width: extent, height: cell, stroke: colours().target, line: 1.5 });
    if (state.word !== null) marks.push({ kind: "rect", x: x + state.word * cell, y, width: cell, height: extent, stroke: colours().word, line: 1.5 });
  });
  const height = Math.ceil(maps.length / across) * (extent + label + 30);
  const range = maps.some((map) => map.diverging) ? `from −${digits(top)} to ${digits(top)}` : `from 0 to ${digits(top)}`;
  return { width, height, marks, note: `A row is a position, a column a token; shades ${range}. ${words.length} tokens.`, table: () => heatTable(context, maps) };
}

// The matrices to show: one a model, or their difference; `top` is what full shade stands for.
function heatMaps(context) {
  const layer = state.layer - 1, chosen = headsChosen();
  const found = context.sides.map((side) => {
    if (state.map === "method") return side.matrix(state.method, layer);
    return state.head ? side.head(layer, state.head - 1) : fused(side, layer, chosen);
  });
  const what = state.map === "method" ? state.method : state.head ? `head ${state.head}` : chosen?.get(layer) ? "heads chosen" : "heads fused";
  const title = (name) => `${name}: ${what}, layer ${state.layer}`;
  const maps = context.diff
    ? [{ matrix: found[1].map((value, index) => value - found[0][index]), title: title("change"), diverging: true }]
    : found.map((matrix, number) => ({ matrix, title: title(context.names[number]), diverging: false }));
  maps.values = found;
  // Special tokens would set the scale nearly always; over it, shades are full.
  const scaling = maps.flatMap(({ matrix }) => Array.from(matrix).filter((value, index) => !Number.isNaN(value) && plain(context, index % context.size) && Math.floor(index / context.size) !== index % context.size).map(Math.abs));
  maps.top = d3.max(scaling) || 1;
  return maps;
}

const plain = (context, token) => context.sides[0].source[token] >= 0;

function heatCell(context, maps, row, column) {
  const { words, size } = context, values = maps.values.map((matrix) => matrix[row * size + column]);
  return { is: { position: row, word: column }, tip: () => [`${words[row]} (${row}) from ${words[column]} (${column})`, ["what", maps[0].title.replace(/^[^:]*: /, "")], ...perModel(context, values)] };
}

function heatLabels(context, { x, y, cell, extent }) {
  const every = Math.ceil(10 / cell), size = Math.min(11, Math.max(8, cell * 0.9)), marks = [];
  context.words.forEach((word, token) => {
    const look = wordLook(context, token), keep = token % every === 0;
    if (keep || token === state.position) marks.push({ kind: "text", x: x - 4, y: y + (token + 0.5) * cell, text: short(word, 11), size, anchor: "end", ...look, is: { position: token } });
    if (keep || token === state.word) marks.push({ kind: "text", x: x + (token + 0.5) * cell, y: y + extent + 5, text: short(word, 11), size, anchor: "end", turn: -60, ...look, is: { word: token } });
  });
  return marks;
}

function heatTable(context, maps) {
  const both = maps.values.length === 2, tokens = context.sides[0].tokens, { size } = context;
  const rows = [["layer", "head", "position", "position_token", "token", "token_text", ...(both ? ["first", "second"] : ["value"])]];
  const what = state.map === "method" ? state.method : state.head || "fused";
  for (let index = 0; index < size * size; index += 1) {
    const position = Math.floor(index / size), token = index % size;
    rows.push([state.layer, what, position, tokens[position], token, tokens[token], ...maps.values.map((matrix) => matrix[index])]);
  }
  return rows;
}

// Token by layer, for the chosen position: the methods side by side, and the models or their difference.
function layersView(context, width) {
  const { size, words } = context, label = 84, row = size > 40 ? 12 : 17;
  const groups = data.methods.flatMap((method) => {
    const rows = context.sides.map((side) => d3.range(LAYERS).map((layer) => side.row(method, layer, state.position)));
    if (context.diff) return [{ method, title: `${method}: change`, diverging: true, rows: rows[1].map((values, layer) => values && values.map((value, token) => value - rows[0][layer][token])) }];
    return rows.map((values, number) => ({ method, title: context.sides.length > 1 ? `${method} ${context.names[number]}` : method, diverging: false, rows: values, number }));
  });
  const gap = 10, column = (width - label - gap * groups.length) / (groups.length * LAYERS), marks = [];
  groups.forEach((group, number) => {
    const x = label + number * (column * LAYERS + gap), y = 30;
    const top = d3.max(groups.filter(({ method }) => method === group.method).flatMap(({ rows }) => rows.flatMap((values) => Array.from(values ?? []).filter((_, token) => plain(context, token) && token !== state.position).map(Math.abs)))) || 1;
    const level = group.diverging ? (value) => Math.round(128 + (127 * value) / top) : (value) => Math.round((255 * value) / top);
    const canvas = rasterOf(LAYERS, size, (token, layer) => group.rows[layer]?.[token] ?? NaN, group.diverging ? "diverging" : "sequential", level);
    marks.push({ kind: "text", x, y: 10, text: short(group.title, Math.max(6, Math.floor((column * LAYERS) / 6.2))), size: 11, bold: true });
    marks.push({ kind: "raster", canvas, x, y, width: column * LAYERS, height: row * size, at: (shareX, shareY) => layersCell(context, group, Math.floor(shareY * size), Math.floor(shareX * LAYERS)) });
    for (let layer = 0; layer < LAYERS; layer += Math.ceil(11 / column)) marks.push({ kind: "text", x: x + (layer + 0.5) * column, y: 23, text: String(layer + 1), size: 9, anchor: "middle", fill: colours().soft, bold: layer + 1 === state.layer, is: { layer: layer + 1 } });
    marks.push({ kind: "rect", x: x + (state.layer - 1) * column, y, width: column, height: row * size, stroke: colours().fore, line: 1.2 });
  });
  words.forEach((word, token) => marks.push({ kind: "text", x: label - 6, y: 30 + (token + 0.5) * row, text: short(word, 12), size: Math.min(11, row - 1), anchor: "end", ...wordLook(context, token), is: { word: token }, tip: () => wordTip(context, token) }));
  return { width, height: 30 + row * size + 8, marks, note: `To position ${state.position}, ${words[state.position]}: a column is a layer; each method has its own scale, special tokens may be over it.`, table: () => layersTable(context) };
}

function layersCell(context, group, token, layer) {
  const values = valuesOf(context, group.method, layer + 1).map((row) => row?.[token]);
  return { is: { word: token, layer: layer + 1 }, tip: () => [`${context.words[token]} (${token}) to position ${state.position}`, ["what", `${group.method}, layer ${layer + 1}`], ...perModel(context, values)] };
}

function layersTable(context) {
  const both = context.sides.length === 2, rows = [["method", "layer", "position", "token", "token_text", ...(both ? ["first", "second"] : ["value"])]];
  for (const method of data.methods) {
    for (let layer = 1; layer <= LAYERS; layer += 1) {
      const values = valuesOf(context, method, layer);
      for (let token = 0; token < context.size; token += 1) rows.push([method, layer, state.position, token, context.sides[0].tokens[token], ...values.map((row) => row?.[token])]);
    }
  }
  return rows;
}
