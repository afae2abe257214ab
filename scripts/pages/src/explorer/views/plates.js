// What the head grid shows of a model: patterns, numbers or roles of its heads.

import * as d3 from "../../shared/d3.js";
import { make, penOf } from "../../shared/dom.js";
import { short } from "../../shared/text.js";
import { colours, diverging, inkOn, pixels, sequential, themeNow } from "../colours.js";
import { headValues } from "../head_values.js";
import { entropyOf } from "../measures.js";
import { digits, perModel } from "../numbers.js";
import { data, HEADS, LAYERS, SAME_SHAPE } from "../page.js";
import { rasterOf } from "../scene.js";
import { state } from "../state.js";

/**
 * A byte of attention, being a root so that small weights can be seen, is its own shade.
 *
 * @param {Side} side
 * @param {number} step
 */
function patternOf(side, step) {
  const { size, attention, layers, heads } = side;
  const canvas = make("canvas", { width: step * heads, height: step * layers });
  const pen = penOf(canvas);
  const image = pen.createImageData(canvas.width, canvas.height);
  const lookup = pixels("sequential");
  const out = new Uint32Array(image.data.buffer);
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

/** @type {{ key: string, plates: Plate[] }} */
const plateCache = { key: "", plates: [] };

/**
 * Every head's matrix, small, in one picture.
 *
 * @param {Context} context
 * @returns {Plate[]}
 */
export function patternPlates(context) {
  const key = [context.sentence.index, state.models, themeNow()].join(" ");
  if (plateCache.key === key) return plateCache.plates;
  const { size, sides } = context;
  const step = size + 1;
  const tables = context.diff && SAME_SHAPE ? [null] : sides;
  const plates = tables.map((side, number) => {
    const value = (/** @type {number} */ row, /** @type {number} */ column) => {
      const layer = Math.floor(row / step);
      const head = Math.floor(column / step);
      const position = row % step;
      const token = column % step;
      if (position === size || token === size) return NaN;
      return sides[1].weight(layer, head, position, token) - sides[0].weight(layer, head, position, token);
    };
    const canvas = side
      ? patternOf(side, step)
      : rasterOf(step * HEADS, step * LAYERS, value, "diverging", (share) =>
          Math.round(128 + 127 * Math.sign(share) * Math.sqrt(Math.abs(share))),
        );
    /** @type {Plate["lines"]} */
    const lines = (layer, head) =>
      sides.flatMap((other, at) =>
        layer < other.layers && head < other.heads
          ? [
              /** @type {TipLine} */ ([
                context.names[at],
                `entropy ${digits(entropyOf(other.head(layer, head), size))} bits`,
              ]),
            ]
          : [],
      );
    const { layers, heads } = side ?? sides[0];
    return {
      layers,
      heads,
      title: side ? context.names[number] : `${context.names[1]} − ${context.names[0]}`,
      canvas,
      lines,
    };
  });
  Object.assign(plateCache, { key, plates });
  return plates;
}

/**
 * @param {Context} context
 * @param {string} measure
 * @returns {Plate[]}
 */
export function valuePlates(context, measure) {
  const tables = headValues(context, measure);
  const diff = context.diff && tables.length === 2 && SAME_SHAPE;
  const shownTables = diff
    ? [tables[1].map((row, layer) => row.map((value, head) => value - tables[0][layer][head]))]
    : tables;
  const top =
    d3.max(
      shownTables
        .flat(2)
        .filter((value) => !Number.isNaN(value))
        .map(Math.abs),
    ) || 1;
  return shownTables.map((table, number) => ({
    layers: table.length,
    heads: table[0].length,
    title:
      tables.length === 1
        ? measure
        : diff
          ? `${measure}: ${context.names[1]} − ${context.names[0]}`
          : `${measure}: ${context.names[number]}`,
    texts: table.map((row) => row.map((value) => valueText(value, top, diff))),
    lines: (layer, head) =>
      tables.length === 1 && context.sides.length === 2
        ? [[measure, digits(tables[0][layer][head])]]
        : perModel(
            context,
            tables.map((each) => each[layer]?.[head]),
          ),
  }));
}

/**
 * @param {number} value
 * @param {number} top
 * @param {boolean} diff
 */
function valueText(value, top, diff) {
  if (Number.isNaN(value)) return { text: "–", fill: colours().back, ink: colours().soft };
  const fill = diff ? diverging(value / top) : sequential(Math.abs(value) / top);
  const size = Math.abs(value);
  const text = size.toFixed(size >= 9.95 ? 0 : size >= 0.995 ? 1 : 2).replace(/^0\./, ".");
  return { text: value < 0 && Number(text) ? `−${text}` : text, fill, ink: inkOn(fill) };
}

const ROLE_FILLS = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999"];

/**
 * @param {string | null} role
 * @param {number} place
 */
function roleText(role, place) {
  const fill = role ? ROLE_FILLS[place % ROLE_FILLS.length] : colours().back;
  return { text: role ? short(role, 7) : "·", fill, ink: inkOn(fill) };
}

/**
 * @param {Context} context
 * @returns {Plate[]}
 */
export function rolePlates(context) {
  const all = [...new Set((data.roles ?? []).flat(2))].filter(Boolean).sort();
  return context.numbers.map((number, at) => ({
    layers: (data.roles ?? [])[number].length,
    heads: (data.roles ?? [])[number][0].length,
    title: `role: ${context.names[at]}`,
    texts: (data.roles ?? [])[number].map((row) => row.map((role) => roleText(role, all.indexOf(role)))),
    lines: (layer, head) =>
      context.numbers.map((other, place) => [
        context.names[place],
        (data.roles ?? [])[other][layer]?.[head] || "no role",
      ]),
  }));
}
