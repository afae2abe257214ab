// Drawing marks on a canvas. An element a mark, as SVG has them, takes a browser several times as long.

import { penOf } from "../shared/dom.js";
import { colours } from "./colours.js";
import { FONT, HALO } from "./scene.js";

/**
 * Draws a scene, in the screen's own pixels.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Scene} scene
 * @param {number} [scale]
 */
export function drawScene(canvas, scene, scale = window.devicePixelRatio || 1) {
  const width = Math.round(scene.width * scale);
  const height = Math.round(scene.height * scale);
  if (canvas.width !== width || canvas.height !== height) {
    Object.assign(canvas, { width, height });
    canvas.style.width = `${scene.width}px`;
    canvas.style.height = `${scene.height}px`;
  }
  const pen = penOf(canvas, { alpha: false });
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  drawOn(pen, scene);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Scene} scene
 */
export function drawOn(pen, scene) {
  // A pixel more, where the size is no whole number of them.
  pen.fillStyle = colours().back;
  pen.fillRect(0, 0, scene.width + 1, scene.height + 1);
  for (const mark of scene.marks) {
    const { shift } = mark;
    if (shift) pen.translate(...shift);
    if (mark.kind === "raster") drawRaster(pen, mark);
    else if (mark.kind === "text") drawText(pen, mark);
    else drawShape(pen, mark);
    if (shift) pen.translate(-shift[0], -shift[1]);
  }
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {RasterMark} raster
 */
export function drawRaster(pen, raster) {
  pen.globalAlpha = 1;
  pen.imageSmoothingEnabled = raster.canvas.width > raster.width;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(raster.canvas, raster.x, raster.y, raster.width, raster.height);
}

// What SVG calls places of a text, as canvases call them.
/** @type {Record<string, CanvasTextAlign>} */
const ALIGN = { start: "left", middle: "center", end: "right" };
/** @type {Record<string, CanvasTextBaseline>} */
const BASELINE = { auto: "alphabetic", hanging: "top", central: "middle" };

/** @type {number[]} */
const NO_DASH = [];
const DASHES = new Map();

/**
 * @param {string | null | undefined} text
 * @returns {number[]}
 */
function dashOf(text) {
  if (!text) return NO_DASH;
  if (!DASHES.has(text)) DASHES.set(text, text.split(" ").map(Number));
  return DASHES.get(text);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {PathMark | CircleMark | RectMark} mark
 */
function drawShape(pen, mark) {
  pen.globalAlpha = mark.opacity ?? 1;
  if (mark.fill && mark.fill !== "none") {
    pen.fillStyle = mark.fill;
    if (mark.kind === "rect") pen.fillRect(mark.x, mark.y, mark.width, mark.height);
    else {
      tracePath(pen, mark);
      pen.fill();
    }
  }
  if (!mark.stroke) return;
  pen.setLineDash(dashOf(mark.dash));
  pen.lineCap = mark.cap ?? "butt";
  pen.lineWidth = mark.line ?? 1;
  pen.strokeStyle = mark.stroke;
  tracePath(pen, mark);
  pen.stroke();
}

/**
 * Lays a mark's outline under the pen.
 *
 * @param {CanvasRenderingContext2D} pen
 * @param {PathMark | CircleMark | RectMark} mark
 */
export function tracePath(pen, mark) {
  pen.beginPath();
  if (mark.kind === "circle") pen.arc(mark.x, mark.y, mark.r, 0, 2 * Math.PI);
  else if (mark.kind === "rect") pen.rect(mark.x, mark.y, mark.width, mark.height);
  else mark.trace(pen);
}

/** @param {TextMark} mark */
export const fontOf = (mark) => `${mark.bold ? "700 " : ""}${mark.size ?? 11}px ${FONT}`;

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {TextMark} mark
 */
function drawText(pen, mark) {
  const before = mark.turn ? pen.getTransform() : null;
  pen.globalAlpha = mark.opacity ?? 1;
  pen.fillStyle = mark.fill ?? colours().fore;
  pen.font = fontOf(mark);
  pen.textAlign = ALIGN[mark.anchor ?? "start"];
  pen.textBaseline = BASELINE[mark.baseline ?? "central"];
  if (mark.halo) {
    pen.setLineDash(NO_DASH);
    pen.lineWidth = HALO;
    pen.lineJoin = "round";
    pen.strokeStyle = colours().back;
    pen.strokeText(mark.text, mark.x, mark.y);
  }
  if (!before) return pen.fillText(mark.text, mark.x, mark.y);
  pen.translate(mark.x, mark.y);
  pen.rotate(((mark.turn ?? 0) * Math.PI) / 180);
  pen.fillText(mark.text, 0, 0);
  return pen.setTransform(before);
}
