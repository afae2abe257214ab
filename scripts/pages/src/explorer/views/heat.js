// Heat maps: of attention (a head, or those chosen, fused) or of a method, position by token; or token by layer.

import { short } from "../../shared/text.js";
import { cycle, last, stepped } from "../actions.js";
import { colours } from "../colours.js";
import { fused } from "../graph.js";
import { nameIn, withRoom } from "../labels.js";
import { changeOf, layerIn, layerName, layersCell, layersMeet, noDifference, valueNames } from "../layers.js";
import { plain, wordLook } from "../marks.js";
import { digits, perModel } from "../numbers.js";
import { HEADS } from "../page.js";
import { emptyScene, rasterOf } from "../scene.js";
import { among, headsChosen, state } from "../state.js";
import { SEEN } from "../uses.js";
import { chooser, numbersTo, segment } from "../widgets.js";
import { layersView } from "./by_layer.js";

/** @typedef {ReturnType<typeof heatMaps>} HeatMaps */

const LEAST = 3; // pixels of a cell, where there is room

/**
 * @param {Context} context
 * @param {number} width
 * @param {number | null} tall
 * @returns {Scene}
 */
function heatView(context, width, tall) {
  if (state.map === "layers") return layersView(context, width);
  const found = heatMaps(context);
  const { maps, top } = found;
  const { size, words } = context;
  const label = 74;
  // The width that a cell may have where so many maps stand side by side; maps of many tokens stand below one another.
  const room = (/** @type {number} */ beside) => (width / beside - label - 14) / size;
  const across = width > 470 && room(maps.length) >= LEAST ? maps.length : 1;
  const missing = maps.filter(({ matrix }) => !matrix);
  if (missing.length === maps.length) return emptyScene(width, missing.map(({ title }) => title).join("; "));
  const high = ((tall ?? 560) / Math.ceil(maps.length / across) - label - 26) / size;
  const cell = Math.min(26, room(across), Math.max(LEAST, high));
  const extent = cell * size;
  /** @type {Mark[]} */
  const marks = [];
  maps.forEach((map, number) => {
    const x = (number % across) * (width / across) + label;
    const y = Math.floor(number / across) * (extent + label + 30) + 24;
    const level = map.diverging
      ? (/** @type {number} */ value) => Math.round(128 + (127 * value) / top)
      : (/** @type {number} */ value) => Math.round((255 * value) / top);
    marks.push({
      kind: "text",
      x,
      y: y - 12,
      text: short(map.title, Math.max(12, Math.floor((width / across - label) / 6.4))),
      size: 11,
      bold: true,
    });
    const { matrix } = map;
    if (!matrix) return;
    const canvas = rasterOf(
      size,
      size,
      (row, column) => matrix[row * size + column],
      map.diverging ? "diverging" : "sequential",
      level,
    );
    marks.push({
      kind: "raster",
      canvas,
      x,
      y,
      width: extent,
      height: extent,
      at: (shareX, shareY) => heatCell(context, found, Math.floor(shareY * size), Math.floor(shareX * size)),
    });
    marks.push({ kind: "rect", x, y, width: extent, height: extent, stroke: colours().line });
    marks.push(...heatLabels(context, { x, y, cell, extent }));
    marks.push({
      kind: "rect",
      x,
      y: y + state.position * cell,
      width: extent,
      height: cell,
      stroke: colours().target,
      line: 1.5,
    });
    if (state.word !== null)
      marks.push({
        kind: "rect",
        x: x + state.word * cell,
        y,
        width: cell,
        height: extent,
        stroke: colours().word,
        line: 1.5,
      });
  });
  const height = Math.ceil(maps.length / across) * (extent + label + 30);
  const range = maps.some((map) => map.diverging)
    ? `from −${digits(top)} to ${digits(top)}`
    : `from 0 to ${digits(top)}`;
  return {
    width,
    height,
    marks,
    note: `A row is a position, a column a token; shades ${range}. ${words.length} tokens.${context.diff ? noDifference(found.diff) : ""}`,
    table: () => heatTable(context, found),
  };
}

/**
 * The matrices to show: one a model, or their difference; `values` are the models', `top` is what full shade stands for.
 *
 * @param {Context} context
 */
function heatMaps(context) {
  const chosen = headsChosen();
  const found = context.sides.map((side) => {
    const layer = layerIn(side) - 1;
    if (state.map === "method") return side.matrix(state.method, layer);
    if (state.head > side.heads) return null;
    return state.head ? side.head(layer, state.head - 1) : fused(side, layer, chosen);
  });
  const what =
    state.map === "method"
      ? state.method
      : state.head
        ? `head ${state.head}`
        : chosen?.get(state.layer - 1)
          ? "heads chosen"
          : "heads fused";
  const title = (/** @type {string} */ name, /** @type {string} */ layer) => `${name}: ${what}, ${layer}`;
  const diff = context.diff && layersMeet(context) && found.every(Boolean);
  const maps = diff
    ? [
        {
          matrix: changeOf(found),
          title: title("change", layerName(context)),
          diverging: true,
        },
      ]
    : found.map((matrix, number) => ({
        matrix,
        title: matrix
          ? title(context.names[number], `layer ${layerIn(context.sides[number])}`)
          : `${context.names[number]} has no head ${state.head}`,
        diverging: false,
      }));
  // Special tokens would set the scale nearly always; over it, shades are full.
  let top = 0;
  for (const { matrix } of maps) {
    for (let index = 0; index < (matrix?.length ?? 0); index += 1) {
      const size = Math.abs(matrix?.[index] ?? 0);
      const token = index % context.size;
      if (size > top && token * (context.size + 1) !== index && plain(context, token)) top = size;
    }
  }
  return { maps, values: found, diff, what, top: top || 1 };
}

/**
 * @param {Context} context
 * @param {HeatMaps} found
 * @param {number} row
 * @param {number} column
 * @returns {Pointed}
 */
function heatCell(context, found, row, column) {
  const { words, size } = context;
  const values = found.values.map((matrix) => matrix?.[row * size + column]);
  return {
    is: { position: row, word: column },
    tip: () => [
      `${words[row]} (${row}) from ${words[column]} (${column})`,
      ["what", `${found.what}, ${layerName(context)}`],
      ...perModel(context, values),
    ],
  };
}

/**
 * @param {Context} context
 * @param {{ x: number, y: number, cell: number, extent: number }} options
 * @returns {Mark[]}
 */
function heatLabels(context, { x, y, cell, extent }) {
  const rows = withRoom(context.size, cell, [state.position], 10);
  const columns = withRoom(context.size, cell, [state.word]);
  const size = Math.min(11, Math.max(8, cell * 0.9));
  /** @type {Mark[]} */
  const marks = [];
  context.words.forEach((word, token) => {
    const look = wordLook(context, token);
    if (rows.includes(token))
      marks.push({
        kind: "text",
        x: x - 4,
        y: y + (token + 0.5) * cell,
        text: nameIn(word, 11),
        size,
        anchor: "end",
        ...look,
        is: { position: token },
      });
    if (columns.includes(token))
      marks.push({
        kind: "text",
        x: x + (token + 0.5) * cell,
        y: y + extent + 5,
        text: nameIn(word, 11),
        size,
        anchor: "end",
        turn: -60,
        ...look,
        is: { word: token },
      });
  });
  return marks;
}

/**
 * @param {Context} context
 * @param {HeatMaps} found
 * @returns {Cell[][]}
 */
function heatTable(context, found) {
  const tokens = context.sides[0].tokens;
  const { size } = context;
  /** @type {Cell[][]} */
  const rows = [["layer", "head", "position", "position_token", "token", "token_text", ...valueNames(context)]];
  const what = state.map === "method" ? state.method : state.head || "fused";
  const layers = layersCell(context);
  for (let index = 0; index < size * size; index += 1) {
    const position = Math.floor(index / size);
    const token = index % size;
    rows.push([
      layers,
      what,
      position,
      tokens[position],
      token,
      tokens[token],
      ...found.values.map((matrix) => matrix?.[index]),
    ]);
  }
  return rows;
}

export const heat = {
  name: "heat",
  column: 1,
  title: "Heat map",
  help: "A row a position, a column a token",
  draw: heatView,
  uses: [...SEEN, "map", "head", "heads", "method"],
  fields: { map: ["map", "heads", among("heads", "method", "layers")] },
  controls: () => [
    segment("map", [
      ["heads", "attention", "a head, or those chosen, fused (key y)"],
      ["method", "method", "the method that is chosen"],
      ["layers", "by layer", "all methods, layer by layer"],
    ]),
    chooser(
      "head",
      [
        ["0", "fused"],
        ...numbersTo(HEADS).map(([value, text]) => /** @type {[string, string]} */ ([value, `head ${text}`])),
      ],
      "The head that is shown (keys h and H)",
      Number,
    ),
  ],
  keys: [[["y"], "next kind of heat map", cycle("map", ["heads", "method", "layers"])]],
  arrows: {
    ArrowUp: stepped("position", -1, 0, last),
    ArrowDown: stepped("position", 1, 0, last),
    ArrowLeft: stepped("word", -1, 0, last),
    ArrowRight: stepped("word", 1, 0, last),
  },
};
