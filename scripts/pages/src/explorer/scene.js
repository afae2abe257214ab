// A picture as a list of marks, each a plain object: drawn on the page's canvas, and the same to a file.
//
// What a mark is of stands in `is` (what the page can choose), what is said of it in `tip`. A mark that is `quiet` is not
// there for the pointer; one with a `shift` [right, down] stands so far from where it says. types.d.ts has them all.

import * as d3 from "../shared/d3.js";
import { make, penOf } from "../shared/dom.js";
import { short } from "../shared/text.js";
import { colours, pixels } from "./colours.js";

export const SVG = "http://www.w3.org/2000/svg";
export const TAGS = { path: "path", circle: "circle", rect: "rect", text: "text" };
export const FONT = "system-ui, sans-serif";
export const HALO = 3; // what a text with a halo, which is not turned, leaves free around it

/**
 * @param {Exclude<Mark, RasterMark>} mark
 * @returns {Record<string, string | number | null | undefined>}
 */
export function attributesOf(mark) {
  const { kind, shift } = mark;
  /** @type {Record<string, string | number | null | undefined>} */
  const found = {};
  if (kind === "path") found.d = dOf(mark);
  if (kind === "circle") Object.assign(found, { cx: round(mark.x), cy: round(mark.y), r: round(mark.r) });
  if (kind === "rect")
    Object.assign(found, {
      x: round(mark.x),
      y: round(mark.y),
      width: round(mark.width),
      height: round(mark.height),
      rx: mark.rx,
    });
  if (kind === "text") {
    Object.assign(found, {
      "text-anchor": mark.anchor ?? "start",
      "font-size": mark.size ?? 11,
      "font-family": FONT,
      "dominant-baseline": mark.baseline ?? "central",
    });
    found.transform = `translate(${round(mark.x)} ${round(mark.y)})${mark.turn ? ` rotate(${round(mark.turn)})` : ""}`;
    if (mark.bold) found["font-weight"] = 700;
    if (mark.halo)
      Object.assign(found, {
        stroke: colours().back,
        "stroke-width": HALO,
        "stroke-linejoin": "round",
        "paint-order": "stroke",
      });
  }
  found.fill = mark.fill ?? (kind === "text" ? colours().fore : "none");
  if (mark.stroke)
    Object.assign(found, { stroke: mark.stroke, "stroke-width": round(mark.line ?? 1), "stroke-dasharray": mark.dash });
  if (mark.cap) found["stroke-linecap"] = mark.cap;
  if (mark.opacity !== undefined) found.opacity = round(mark.opacity);
  if (shift)
    found.transform = `translate(${round(shift[0])} ${round(shift[1])})${found.transform ? ` ${found.transform}` : ""}`;
  return found;
}

/** @param {number} value */
const round = (value) => Math.round(value * 100) / 100;

/**
 * A path's outline as SVG writes it; it is drawn with the same calls.
 *
 * @param {PathMark} mark
 */
export function dOf(mark) {
  const path = d3.path();
  // D3's path has what marks are traced with, which is less than a canvas's.
  mark.trace(/** @type {any} */ (path));
  return String(path).replace(/-?\d+\.\d{3,}(?:e-?\d+)?/g, (number) => String(round(Number(number))));
}

/**
 * Straight lines and curves, as what traces them.
 *
 * @param {number} x
 * @param {number} y
 * @param {number} right
 * @param {number} bottom
 * @returns {Tracer}
 */
export const lineFrom = (x, y, right, bottom) => (pen) => {
  pen.moveTo(x, y);
  pen.lineTo(right, bottom);
};

/**
 * @param {any} link
 * @param {any} ends
 * @returns {Tracer}
 */
export function curveFrom(link, ends) {
  return (pen) => {
    link.context(pen)(ends);
    link.context(null);
  };
}

/**
 * A mark of a picture that is itself moved: its own shift, if it has one, and that of the picture.
 *
 * @param {Mark} mark
 * @param {number} right
 * @param {number} down
 * @returns {Mark}
 */
export const moved = (mark, right, down) => ({
  ...mark,
  shift: [right + (mark.shift?.[0] ?? 0), down + (mark.shift?.[1] ?? 0)],
});

/**
 * Pictures next to one another where there is room for them, else one below the other.
 *
 * @param {Drawing[]} scenes
 * @param {number} width
 * @returns {Drawing}
 */
export function beside(scenes, width) {
  const across = standsBeside(scenes.length, width);
  const each = width / across;
  /** @type {Mark[]} */
  const marks = [];
  let top = 0;
  let height = 0;
  scenes.forEach((scene, number) => {
    if (number && number % across === 0) top = height;
    const right = (number % across) * each;
    marks.push(...scene.marks.map((mark) => moved(mark, right, top)));
    height = Math.max(height, top + scene.height);
  });
  return { marks, height };
}

/**
 * @param {number} count
 * @param {number} width
 */
export const standsBeside = (count, width) => (width > 470 ? count : 1);

/**
 * A small picture, a pixel a number: `colour` gives the 256 pixels, `level` a number's place among them.
 *
 * @param {number} columns
 * @param {number} rows
 * @param {(row: number, column: number) => number} value
 * @param {string} kind
 * @param {(value: number) => number} level
 */
export function rasterOf(columns, rows, value, kind, level) {
  const canvas = make("canvas", { width: columns, height: rows });
  const pen = penOf(canvas);
  const image = pen.createImageData(columns, rows);
  const lookup = pixels(kind);
  const out = new Uint32Array(image.data.buffer);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const number = value(row, column);
      // What is not known stays clear.
      if (!Number.isNaN(number)) out[row * columns + column] = lookup[Math.max(0, Math.min(255, level(number)))];
    }
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

const LINE = 16; // pixels from one line of a text to the next

/**
 * @param {number} width
 * @param {string} text
 * @returns {Scene}
 */
export function emptyScene(width, text) {
  const lines = inLines(text, Math.floor(width / 6));
  return {
    width,
    height: 44 + LINE * lines.length,
    marks: lines.map((line, at) => ({ kind: "text", x: 8, y: 26 + LINE * at, text: line, fill: colours().soft })),
    note: "",
    table: () => [["nothing"]],
  };
}

/**
 * A text in lines of at most so many characters; a longer word stands alone, and is cut.
 *
 * @param {string} text
 * @param {number} most
 */
function inLines(text, most) {
  /** @type {string[]} */
  const lines = [];
  for (const word of text.split(" ")) {
    const longer = lines.length ? `${lines[lines.length - 1]} ${word}` : "";
    if (longer && longer.length <= most) lines[lines.length - 1] = longer;
    else lines.push(short(word, most));
  }
  return lines;
}
