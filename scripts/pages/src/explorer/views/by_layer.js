// Token by layer, for the chosen position: the methods side by side, and the models or their difference.

import * as d3 from "../../shared/d3.js";
import { short } from "../../shared/text.js";
import { colours } from "../colours.js";
import { nameIn } from "../labels.js";
import { changeOf, noDifference, valueNames } from "../layers.js";
import { plain, wordLook, wordTip } from "../marks.js";
import { perModel } from "../numbers.js";
import { data, LAYERS, SAME_DEPTH } from "../page.js";
import { rasterOf } from "../scene.js";
import { state } from "../state.js";

/**
 * Token by layer, for the chosen position: the methods side by side, and the models or their difference.
 *
 * @param {Context} context
 * @param {number} width
 * @returns {Scene}
 */
export function layersView(context, width) {
  const { size, words } = context;
  const label = 84;
  const row = size > 40 ? 12 : 17;
  const diff = context.diff && SAME_DEPTH;
  const y = context.sides.length > 1 && !diff ? 44 : 30;
  /**
   * A method's columns: one group a model, or that of their difference.
   *
   * @param {string} method
   * @returns {{ method: string, title: string, diverging: boolean, rows: (Row | null)[], number?: number }[]}
   */
  const groupsOf = (method) => {
    const rows = context.sides.map((side) =>
      d3.range(side.layers).map((layer) => side.row(method, layer, state.position)),
    );
    if (diff)
      return [
        {
          method,
          title: `${method}: change`,
          diverging: true,
          rows: rows[1].map((values, layer) => changeOf([rows[0][layer], values])),
        },
      ];
    return rows.map((values, number) => ({
      method,
      title: number ? "" : method,
      diverging: false,
      rows: values,
      number,
    }));
  };
  const groups = data.methods.flatMap((method) => groupsOf(method));
  const gap = 10;
  const column = (width - label - gap * groups.length) / d3.sum(groups, ({ rows }) => rows.length);
  /** @type {Mark[]} */
  const marks = [];
  let x = label - gap;
  groups.forEach((group, number) => {
    const layers = group.rows.length;
    const room = Math.max(5, Math.floor((column * layers) / 6.4));
    x += gap + (number ? column * groups[number - 1].rows.length : 0);
    const top =
      d3.max(
        groups
          .filter(({ method }) => method === group.method)
          .flatMap(({ rows }) =>
            rows.flatMap((values) =>
              Array.from(values ?? [])
                .filter((_, token) => plain(context, token) && token !== state.position)
                .map(Math.abs),
            ),
          ),
      ) || 1;
    const level = group.diverging
      ? (/** @type {number} */ value) => Math.round(128 + (127 * value) / top)
      : (/** @type {number} */ value) => Math.round((255 * value) / top);
    const canvas = rasterOf(
      layers,
      size,
      (token, layer) => group.rows[layer]?.[token] ?? NaN,
      group.diverging ? "diverging" : "sequential",
      level,
    );
    marks.push({ kind: "text", x, y: 10, text: short(group.title, 2 * room), size: 11, bold: true });
    if (y > 30)
      marks.push({
        kind: "text",
        x,
        y: 23,
        text: short(context.names[group.number ?? 0], room),
        size: 10,
        fill: colours()["ab"[context.numbers[group.number ?? 0]]],
      });
    marks.push({
      kind: "raster",
      canvas,
      x,
      y,
      width: column * layers,
      height: row * size,
      at: (shareX, shareY) => byLayerCell(context, group, Math.floor(shareY * size), Math.floor(shareX * layers)),
    });
    for (let layer = 0; layer < layers; layer += Math.ceil(11 / column))
      marks.push({
        kind: "text",
        x: x + (layer + 0.5) * column,
        y: y - 7,
        text: String(layer + 1),
        size: 9,
        anchor: "middle",
        fill: colours().soft,
        bold: layer + 1 === state.layer,
        is: { layer: layer + 1 },
      });
    marks.push({
      kind: "rect",
      x: x + (Math.min(state.layer, layers) - 1) * column,
      y,
      width: column,
      height: row * size,
      stroke: colours().fore,
      line: 1.2,
    });
  });
  words.forEach((word, token) =>
    marks.push({
      kind: "text",
      x: label - 6,
      y: y + (token + 0.5) * row,
      text: nameIn(word, 12),
      size: Math.min(11, row - 1),
      anchor: "end",
      ...wordLook(context, token),
      is: { word: token },
      tip: () => wordTip(context, token),
    }),
  );
  return {
    width,
    height: y + row * size + 8,
    marks,
    note: `To position ${state.position}, ${words[state.position]}: a column is a layer; each method has its own scale, special tokens may be over it.${context.diff ? noDifference(diff) : ""}`,
    table: () => layersTable(context),
  };
}

/**
 * @param {Context} context
 * @param {{ method: string }} group
 * @param {number} token
 * @param {number} layer
 * @returns {Pointed}
 */
function byLayerCell(context, group, token, layer) {
  const values = context.sides
    .map((side) => (layer < side.layers ? side.row(group.method, layer, state.position) : null))
    .map((row) => row?.[token]);
  return {
    is: { word: token, layer: layer + 1 },
    tip: () => [
      `${context.words[token]} (${token}) to position ${state.position}`,
      ["what", `${group.method}, layer ${layer + 1}`],
      ...perModel(context, values),
    ],
  };
}

/**
 * @param {Context} context
 * @returns {Cell[][]}
 */
function layersTable(context) {
  /** @type {Cell[][]} */
  const rows = [["method", "layer", "position", "token", "token_text", ...valueNames(context)]];
  for (const method of data.methods) {
    for (let layer = 1; layer <= LAYERS; layer += 1) {
      const values = context.sides.map((side) =>
        layer > side.layers ? null : side.row(method, layer - 1, state.position),
      );
      for (let token = 0; token < context.size; token += 1)
        rows.push([
          method,
          layer,
          state.position,
          token,
          context.sides[0].tokens[token],
          ...values.map((row) => row?.[token]),
        ]);
    }
  }
  return rows;
}
