// Pictures and numbers as files.

import { csvText } from "../shared/csv.js";
import { make, penOf } from "../shared/dom.js";
import { saved } from "../shared/save.js";
import { colours, DASH } from "./colours.js";
import { drawOn, drawRaster } from "./draw.js";
import { data } from "./page.js";
import { attributesOf, lineFrom, moved, SVG, TAGS } from "./scene.js";
import { state } from "./state.js";

const HEAD = 22; // height of what stands above a picture in a file
const LETTER = 6.4; // about the width of a letter there

/**
 * A picture as it goes to a file: with its title, which names the models, and with what the looks of its arcs mean.
 *
 * @param {Scene} scene
 * @returns {Scene}
 */
function titled(scene) {
  /** @type {Mark[]} */
  const head = [{ kind: "text", x: 8, y: HEAD / 2, text: scene.title ?? "", size: 12, bold: true }];
  /** @type {Set<string | undefined>} */
  const kinds = new Set(scene.marks.map((mark) => (mark.kind === "path" ? mark.arc : undefined)));
  const [a, b] = data.models.map(({ name }) => name);
  const more = state.models === "diff" ? "stronger" : "2 × as strong, or more,";
  const names = { a: `${more} in ${a}`, b: `${more} in ${b}`, shared: "alike in both" };
  let left = 8;
  for (const kind of /** @type {(keyof typeof names)[]} */ (Object.keys(names))) {
    if (!kinds.has(kind)) continue;
    const y = 1.5 * HEAD;
    head.push(
      { kind: "path", trace: lineFrom(left, y, left + 28, y), stroke: colours()[kind], line: 2.5, dash: DASH[kind] },
      { kind: "text", x: left + 34, y, text: names[kind], size: 11 },
    );
    left += 50 + LETTER * names[kind].length;
  }
  const down = left > 8 ? 2 * HEAD : HEAD;
  const width = Math.max(scene.width, left, 16 + 1.2 * LETTER * (scene.title ?? "").length);
  const marks = scene.marks.map((mark) => moved(mark, 0, down));
  return { ...scene, width, height: scene.height + down, marks: [...head, ...marks] };
}

/**
 * The whole picture as one SVG that needs nothing else; rasters are in it as pictures.
 *
 * @param {Scene} picture
 */
export function svgText(picture) {
  const scene = titled(picture);
  // In a document of its own, where no picture is loaded.
  const own = document.implementation.createDocument(SVG, "svg");
  const svg = own.documentElement;
  for (const [name, value] of Object.entries({
    width: scene.width,
    height: scene.height,
    viewBox: `0 0 ${scene.width} ${scene.height}`,
  }))
    svg.setAttribute(name, String(value));
  /**
   * @param {string} tag
   * @param {Record<string, string | number | null | undefined>} attributes
   * @param {string} [text]
   */
  const add = (tag, attributes, text) => {
    const element = own.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes))
      if (value != null) element.setAttribute(name, String(value));
    if (text) element.textContent = text;
    svg.append(element);
  };
  add("title", {}, scene.title);
  add("rect", { width: scene.width, height: scene.height, fill: colours().back });
  for (const mark of scene.marks) {
    if (mark.kind !== "raster") add(TAGS[mark.kind], attributesOf(mark), mark.kind === "text" ? mark.text : "");
    else
      add("image", {
        href: enlarged(mark).toDataURL(),
        x: mark.x + (mark.shift?.[0] ?? 0),
        y: mark.y + (mark.shift?.[1] ?? 0),
        width: mark.width,
        height: mark.height,
      });
  }
  return `${new XMLSerializer().serializeToString(svg)}\n`;
}

/**
 * Viewers smooth small pictures; drawn large enough, a number's square keeps its edges.
 *
 * @param {RasterMark} raster
 */
function enlarged(raster) {
  const canvas = make("canvas", { width: Math.round(raster.width * 2), height: Math.round(raster.height * 2) });
  drawRaster(penOf(canvas), { ...raster, x: 0, y: 0, width: canvas.width, height: canvas.height });
  return canvas;
}

/**
 * The picture's pixels, twice as fine as the screen's, drawn mark by mark: nothing is loaded for it.
 *
 * @param {Scene} picture
 */
export function pngCanvas(picture) {
  const scene = titled(picture);
  const scale = 2;
  const canvas = make("canvas", { width: scene.width * scale, height: scene.height * scale });
  const pen = penOf(canvas);
  pen.scale(scale, scale);
  drawOn(pen, scene);
  return canvas;
}

/**
 * @param {Scene} scene
 * @param {string} file
 * @param {string} kind
 */
export async function saveScene(scene, file, kind) {
  if (kind === "svg") return saved(file, new Blob([svgText(scene)], { type: "image/svg+xml" }));
  if (kind === "csv") return saved(file, new Blob([csvText(scene.table())], { type: "text/csv" }));
  /** @type {Blob | null} */
  const blob = await new Promise((done) => pngCanvas(scene).toBlob(done, "image/png"));
  return blob && saved(file, blob);
}
