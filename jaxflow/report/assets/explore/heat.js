// Heat maps: of attention (a head, or those chosen, fused) or of a method, position by token; or token by layer.

function heatView(context, width, tall) {
  if (state.map === "layers") return layersView(context, width);
  const maps = heatMaps(context), across = maps.length > 1 && width > 470 ? maps.length : 1;
  const { size, words } = context, label = 74, missing = maps.filter(({ matrix }) => !matrix);
  if (missing.length === maps.length) return emptyScene(width, missing.map(({ title }) => title).join("; "));
  const cell = Math.max(3, Math.min(26, (width / across - label - 14) / size, ((tall ?? 560) / Math.ceil(maps.length / across) - label - 26) / size));
  const extent = cell * size, top = maps.top, marks = [];
  maps.forEach((map, number) => {
    const x = (number % across) * (width / across) + label, y = Math.floor(number / across) * (extent + label + 30) + 24;
    const level = map.diverging ? (value) => Math.round(128 + (127 * value) / top) : (value) => Math.round((255 * value) / top);
    marks.push({ kind: "text", x, y: y - 12, text: short(map.title, Math.max(12, Math.floor((width / across - label) / 6.4))), size: 11, bold: true });
    if (!map.matrix) return;
    const canvas = rasterOf(size, size, (row, column) => map.matrix[row * size + column], map.diverging ? "diverging" : "sequential", level);
    marks.push({ kind: "raster", canvas, x, y, width: extent, height: extent, at: (shareX, shareY) => heatCell(context, maps, Math.floor(shareY * size), Math.floor(shareX * size)) });
    marks.push({ kind: "rect", x, y, width: extent, height: extent, stroke: colours().line });
    marks.push(...heatLabels(context, { x, y, cell, extent }));
    marks.push({ kind: "rect", x, y: y + state.position * cell, width: extent, height: cell, stroke: colours().target, line: 1.5 });
    if (state.word !== null) marks.push({ kind: "rect", x: x + state.word * cell, y, width: cell, height: extent, stroke: colours().word, line: 1.5 });
  });
  const height = Math.ceil(maps.length / across) * (extent + label + 30);
  const range = maps.some((map) => map.diverging) ? `from −${digits(top)} to ${digits(top)}` : `from 0 to ${digits(top)}`;
  return { width, height, marks, note: `A row is a position, a column a token; shades ${range}. ${words.length} tokens.${context.diff ? noDifference(maps.diff) : ""}`, table: () => heatTable(context, maps) };
}

// The matrices to show: one a model, or their difference; `top` is what full shade stands for.
function heatMaps(context) {
  const chosen = headsChosen();
  const found = context.sides.map((side) => {
    const layer = layerIn(side) - 1;
    if (state.map === "method") return side.matrix(state.method, layer);
    if (state.head > side.heads) return null;
    return state.head ? side.head(layer, state.head - 1) : fused(side, layer, chosen);
  });
  const what = state.map === "method" ? state.method : state.head ? `head ${state.head}` : chosen?.get(state.layer - 1) ? "heads chosen" : "heads fused";
  const title = (name, layer) => `${name}: ${what}, ${layer}`;
  const diff = context.diff && layersMeet(context) && found.every(Boolean);
  const maps = diff
    ? [{ matrix: found[1].map((value, index) => value - found[0][index]), title: title("change", layerName(context)), diverging: true }]
    : found.map((matrix, number) => ({ matrix, title: matrix ? title(context.names[number], `layer ${layerIn(context.sides[number])}`) : `${context.names[number]} has no head ${state.head}`, diverging: false }));
  Object.assign(maps, { values: found, diff, what });
  // Special tokens would set the scale nearly always; over it, shades are full.
  let top = 0;
  for (const { matrix } of maps) {
    for (let index = 0; index < (matrix?.length ?? 0); index += 1) {
      const size = Math.abs(matrix[index]), token = index % context.size;
      if (size > top && token * (context.size + 1) !== index && plain(context, token)) top = size;
    }
  }
  maps.top = top || 1;
  return maps;
}

const plain = (context, token) => context.sides[0].source[token] >= 0;

function heatCell(context, maps, row, column) {
  const { words, size } = context, values = maps.values.map((matrix) => matrix?.[row * size + column]);
  return { is: { position: row, word: column }, tip: () => [`${words[row]} (${row}) from ${words[column]} (${column})`, ["what", `${maps.what}, ${layerName(context)}`], ...perModel(context, values)] };
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
  const tokens = context.sides[0].tokens, { size } = context;
  const rows = [["layer", "head", "position", "position_token", "token", "token_text", ...valueNames(context)]];
  const what = state.map === "method" ? state.method : state.head || "fused", layers = layersCell(context);
  for (let index = 0; index < size * size; index += 1) {
    const position = Math.floor(index / size), token = index % size;
    rows.push([layers, what, position, tokens[position], token, tokens[token], ...maps.values.map((matrix) => matrix?.[index])]);
  }
  return rows;
}

// Token by layer, for the chosen position: the methods side by side, and the models or their difference.
function layersView(context, width) {
  const { size, words } = context, label = 84, row = size > 40 ? 12 : 17, diff = context.diff && SAME_DEPTH, y = context.sides.length > 1 && !diff ? 44 : 30;
  const groups = data.methods.flatMap((method) => {
    const rows = context.sides.map((side) => d3.range(side.layers).map((layer) => side.row(method, layer, state.position)));
    if (diff) return [{ method, title: `${method}: change`, diverging: true, rows: rows[1].map((values, layer) => values && values.map((value, token) => value - rows[0][layer][token])) }];
    return rows.map((values, number) => ({ method, title: number ? "" : method, diverging: false, rows: values, number }));
  });
  const gap = 10, column = (width - label - gap * groups.length) / d3.sum(groups, ({ rows }) => rows.length), marks = [];
  let x = label - gap;
  groups.forEach((group, number) => {
    const layers = group.rows.length, room = Math.max(5, Math.floor((column * layers) / 6.4));
    x += gap + (number ? column * groups[number - 1].rows.length : 0);
    const top = d3.max(groups.filter(({ method }) => method === group.method).flatMap(({ rows }) => rows.flatMap((values) => Array.from(values ?? []).filter((_, token) => plain(context, token) && token !== state.position).map(Math.abs)))) || 1;
    const level = group.diverging ? (value) => Math.round(128 + (127 * value) / top) : (value) => Math.round((255 * value) / top);
    const canvas = rasterOf(layers, size, (token, layer) => group.rows[layer]?.[token] ?? NaN, group.diverging ? "diverging" : "sequential", level);
    marks.push({ kind: "text", x, y: 10, text: short(group.title, 2 * room), size: 11, bold: true });
    if (y > 30) marks.push({ kind: "text", x, y: 23, text: short(context.names[group.number], room), size: 10, fill: colours()["ab"[context.numbers[group.number]]] });
    marks.push({ kind: "raster", canvas, x, y, width: column * layers, height: row * size, at: (shareX, shareY) => byLayerCell(context, group, Math.floor(shareY * size), Math.floor(shareX * layers)) });
    for (let layer = 0; layer < layers; layer += Math.ceil(11 / column)) marks.push({ kind: "text", x: x + (layer + 0.5) * column, y: y - 7, text: String(layer + 1), size: 9, anchor: "middle", fill: colours().soft, bold: layer + 1 === state.layer, is: { layer: layer + 1 } });
    marks.push({ kind: "rect", x: x + (Math.min(state.layer, layers) - 1) * column, y, width: column, height: row * size, stroke: colours().fore, line: 1.2 });
  });
  words.forEach((word, token) => marks.push({ kind: "text", x: label - 6, y: y + (token + 0.5) * row, text: short(word, 12), size: Math.min(11, row - 1), anchor: "end", ...wordLook(context, token), is: { word: token }, tip: () => wordTip(context, token) }));
  return { width, height: y + row * size + 8, marks, note: `To position ${state.position}, ${words[state.position]}: a column is a layer; each method has its own scale, special tokens may be over it.${context.diff ? noDifference(diff) : ""}`, table: () => layersTable(context) };
}

function byLayerCell(context, group, token, layer) {
  const values = context.sides.map((side) => (layer < side.layers ? side.row(group.method, layer, state.position) : null)).map((row) => row?.[token]);
  return { is: { word: token, layer: layer + 1 }, tip: () => [`${context.words[token]} (${token}) to position ${state.position}`, ["what", `${group.method}, layer ${layer + 1}`], ...perModel(context, values)] };
}

function layersTable(context) {
  const rows = [["method", "layer", "position", "token", "token_text", ...valueNames(context)]];
  for (const method of data.methods) {
    for (let layer = 1; layer <= LAYERS; layer += 1) {
      const values = context.sides.map((side) => (layer > side.layers ? null : side.row(method, layer - 1, state.position)));
      for (let token = 0; token < context.size; token += 1) rows.push([method, layer, state.position, token, context.sides[0].tokens[token], ...values.map((row) => row?.[token])]);
    }
  }
  return rows;
}
