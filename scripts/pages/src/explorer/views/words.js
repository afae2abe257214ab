// What each word is worth to the chosen position: every method, the models side by side or their difference.

import * as d3 from "../../shared/d3.js";
import { format } from "../../shared/format.js";
import { cycle } from "../actions.js";
import { bands, colours, linear } from "../colours.js";
import { stands } from "../context.js";
import { nameIn, withRoom } from "../labels.js";
import { changeOf, layerName, layersCell, layersMeet, noDifference, valueNames, valuesOf } from "../layers.js";
import { plain, wordLook, wordTip } from "../marks.js";
import { perModel } from "../numbers.js";
import { data, inUnits, PAIR } from "../page.js";
import { lineFrom } from "../scene.js";
import { among, state } from "../state.js";
import { SEEN } from "../uses.js";
import { segment } from "../widgets.js";

/**
 * @param {Context} context
 * @param {number} width
 * @param {number | null} tall
 * @returns {Scene}
 */
function wordsView(context, width, tall) {
  const { size, words } = context;
  const left = 46;
  const bottom = 66;
  const each = tall ? Math.max(90, (tall - bottom) / data.methods.length - 30) : 92;
  const order = wordOrder(context).filter((token) => stands(context.sides[0], token));
  const diff = context.diff && layersMeet(context);
  const x = bands(order, [left, width - 8]).paddingInner(0.25);
  /** @type {Mark[]} */
  const marks = [];
  data.methods.forEach((method, number) => {
    const y = number * (each + 30) + 26;
    marks.push({
      kind: "text",
      x: 2,
      y: y - 15,
      text: `${method}, ${layerName(context)}${diff ? ": change" : ""}`,
      size: 11,
      bold: method === state.method,
    });
    marks.push(...barsOf(context, method, x, { y, each, left, width }));
  });
  const base = data.methods.length * (each + 30) + 4;
  const chosen = [state.word, state.position].map((token) => order.indexOf(token ?? -1));
  for (const place of withRoom(
    order.length,
    x.step(),
    chosen.filter((found) => found >= 0),
  )) {
    const token = order[place];
    marks.push({
      kind: "text",
      x: (x(token) ?? 0) + x.bandwidth() / 2 + 3,
      y: base + 4,
      text: nameIn(words[token], 11),
      size: 11,
      anchor: "end",
      turn: -52,
      ...wordLook(context, token),
      is: { word: token },
      tip: () => wordTip(context, token),
    });
  }
  return {
    width,
    height: base + bottom,
    marks,
    note: `To position ${state.position}, ${words[state.position]}. Special tokens and the position itself may be over the scale (▴). ${order.length} of ${size} tokens.${context.diff ? noDifference(diff) : ""}`,
    table: () => wordsTable(context),
  };
}

/**
 * In the text's order, or by the chosen method's value or change, the largest first.
 *
 * @param {Context} context
 */
function wordOrder(context) {
  const rows = valuesOf(context, state.method);
  const order = d3.range(context.size);
  const key = {
    value: (/** @type {number} */ token) => rows.at(-1)?.[token] ?? 0,
    change: (/** @type {number} */ token) =>
      rows.length === 2 ? (rows[1]?.[token] ?? 0) - (rows[0]?.[token] ?? 0) : (rows[0]?.[token] ?? 0),
  }[/** @type {"value" | "change"} */ (state.order)];
  return key ? order.sort((one, other) => key(other) - key(one)) : order;
}

const TICK = format(".2~g");

/**
 * @param {Context} context
 * @param {string} method
 * @param {import("d3").ScaleBand<number>} x
 * @param {{ y: number, each: number, left: number, width: number }} options
 * @returns {Mark[]}
 */
function barsOf(context, method, x, { y, each, left, width }) {
  const rows = valuesOf(context, method);
  if (rows.some((row) => row === null))
    return [
      {
        kind: "text",
        x: left,
        y: y + each / 2,
        text: `not computed for position ${state.position}`,
        fill: colours().soft,
      },
    ];
  const diff = context.diff && layersMeet(context);
  const series = diff ? [changeOf(rows)] : rows;
  const scaling = series
    .flatMap((row) => Array.from(row ?? []).filter((_, token) => plain(context, token) && token !== state.position))
    .map(Math.abs);
  const top = d3.max(scaling) || 1;
  /** @type {Mark[]} */
  const marks = [];
  const height = linear([diff ? -top : 0, top], [y + each, y]).clamp(true);
  for (const tick of diff ? [-top, 0, top] : [0, top]) {
    marks.push({
      kind: "path",
      trace: lineFrom(left, height(tick), width - 8, height(tick)),
      stroke: colours().line,
      line: 0.8,
    });
    marks.push({
      kind: "text",
      x: left - 4,
      y: height(tick),
      text: TICK(tick),
      size: 9,
      anchor: "end",
      fill: colours().soft,
    });
  }
  const band = x.bandwidth() / series.length;
  series.forEach((row, number) =>
    row?.forEach((value, token) => {
      if (x(token) === undefined) return;
      const from = height(0);
      const to = height(value);
      const side = diff ? (value >= 0 ? "b" : "a") : PAIR ? "ab"[context.numbers[number]] : "b";
      marks.push({
        kind: "rect",
        x: (x(token) ?? 0) + number * band,
        y: Math.min(from, to),
        width: Math.max(1, band),
        height: Math.max(0.5, Math.abs(from - to)),
        fill: colours()[side],
        opacity: plain(context, token) ? 0.95 : 0.45,
        is: { word: token },
        tip: () => [
          `${context.words[token]} at position ${token}`,
          ["what", `${method}, ${layerName(context)}`],
          ...perModel(
            context,
            rows.map((each) => each?.[token]),
          ),
        ],
      });
      if (Math.abs(value) > top * 1.0001)
        marks.push({
          kind: "text",
          x: (x(token) ?? 0) + (number + 0.5) * band,
          y: value > 0 ? y - 1 : y + each + 3,
          text: value > 0 ? "▴" : "▾",
          size: 8,
          anchor: "middle",
          fill: colours().soft,
          quiet: true,
        });
    }),
  );
  return marks;
}

/**
 * @param {Context} context
 * @returns {Cell[][]}
 */
function wordsTable(context) {
  const both = context.sides.length === 2 && layersMeet(context);
  const tokens = context.sides[0].tokens;
  /** @type {Cell[][]} */
  const rows = [
    ["method", "layer", "position", "token", "token_text", ...valueNames(context), ...(both ? ["change"] : [])],
  ];
  for (const method of data.methods) {
    const values = valuesOf(context, method);
    for (const token of wordOrder(context)) {
      const here = values.map((row) => row?.[token]);
      rows.push([
        method,
        layersCell(context),
        state.position,
        token,
        tokens[token],
        ...here,
        ...(both ? [(here[1] ?? NaN) - (here[0] ?? NaN)] : []),
      ]);
    }
  }
  return rows;
}

export const words = {
  name: "words",
  column: 0,
  title: "Words",
  help: "What each word is worth to the position",
  draw: wordsView,
  uses: [...SEEN, "order", "method"],
  fields: { order: ["words", "text", among("text", "value", "change")] },
  controls: () => [
    segment("order", [
      ["text", inUnits("as in the text"), "in the text's order (key o)"],
      ["value", "by value", "the largest first"],
      ["change", "by change", "what gained most first"],
    ]),
  ],
  keys: [[["o"], "next order of the words' bars", cycle("order", ["text", "value", "change"])]],
};
