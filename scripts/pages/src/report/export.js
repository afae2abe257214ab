// What is shown as files: its numbers, and a picture that needs nothing else.

import { csvText } from "../shared/csv.js";
import { make, penOf } from "../shared/dom.js";
import { cover } from "../shared/picture.js";
import { saved } from "../shared/save.js";
import { shade } from "../shared/scale.js";
import { isDark } from "../shared/theme.js";
import { bounds, shareOf } from "./example.js";
import { data } from "./page.js";
import { layerName, marked, queryName } from "./parts.js";

// Sizes in the picture's units.
const CELL = 22;
const PATCH = 16;
const LETTER = 6.6; // about the width of a letter
const GAP = 14;
const TOP = 74; // what stands above the first row: title, methods, layers

/**
 * @param {Unpacked} current
 * @param {ReportState} state
 * @param {"csv" | "svg" | "png"} kind
 */
export async function save(current, state, kind) {
  const name = `jaxflow-${data.model}-${current.example.id}`.replace(/[^\w.-]+/g, "_").slice(-80);
  const blob = await {
    csv: () => new Blob([csvText(tableOf(current, state))], { type: "text/csv" }),
    svg: () => new Blob([svgText(current, state)], { type: "image/svg+xml" }),
    png: () => new Promise((/** @type {BlobCallback} */ done) => pngCanvas(current, state).toBlob(done, "image/png")),
  }[kind]();
  if (blob) saved(`${name}.${kind}`, blob);
}

/**
 * The relevance of all tokens to the chosen position, of the methods that are shown at all layers: a row a number.
 *
 * @param {Unpacked} current
 * @param {ReportState} state
 * @returns {(string | number | null)[][]}
 */
export function tableOf(current, state) {
  const { example } = current;
  const position = example.queries[state.query];
  const head = ["method", "layer", "position", "position_token", "token_position", "token", "relevance", "certified"];
  const rows = shownMethods(state).flatMap((method) =>
    example.layers.flatMap((layer, index) =>
      Array.from(current.row(method, index, state.query), (value, token) => [
        ...[method, layer, position, example.tokens[position], token, example.tokens[token], value],
        // Of values that are no flows there is nothing to prove.
        data.flows.includes(method) ? String(current.certified(index, state.query, token)) : "",
        data.flows.includes(method) ? String(current.saturated(method, index, state.query, token)) : "",
      ]),
    ),
  );
  return [[...head, "saturated"], ...rows];
}

/** @param {ReportState} state */
const shownMethods = (state) => data.methods.filter((method) => state.methods.has(method));

/**
 * @param {Unpacked} current
 * @param {ReportState} state
 */
export const svgText = (current, state) => `${new XMLSerializer().serializeToString(pictureOf(current, state))}\n`;

/**
 * The picture's pixels, twice as fine as the screen's, drawn element by element: nothing is loaded for it.
 *
 * @param {Unpacked} current
 * @param {ReportState} state
 */
export function pngCanvas(current, state) {
  const svg = pictureOf(current, state);
  const [width, height] = ["width", "height"].map((name) => Number(svg.getAttribute(name)));
  const canvas = make("canvas", { width: 2 * width, height: 2 * height });
  const pen = penOf(canvas);
  pen.scale(2, 2);
  for (const element of svg.children) drawElement(pen, element, width, height);
  return canvas;
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Element} element of the picture: a rectangle, a line of text, or the image that the page shows
 * @param {number} wide
 * @param {number} tall
 */
function drawElement(pen, element, wide, tall) {
  const given = (/** @type {string} */ name, rest = "") => element.getAttribute(name) ?? rest;
  const [x, y] = [Number(given("x", "0")), Number(given("y", "0"))];
  // The ground is as large as the picture.
  const whole = given("width").endsWith("%");
  const [width, height] = whole ? [wide, tall] : [Number(given("width")), Number(given("height"))];
  pen.fillStyle = given("fill", "none");
  if (element.tagName === "rect") pen.fillRect(x, y, width, height);
  if (element.tagName === "text") {
    pen.font = `${given("font-weight", "400")} ${given("font-size")}px ${given("font-family")}`;
    pen.textAlign = given("text-anchor") === "end" ? "right" : given("text-anchor") === "middle" ? "center" : "left";
    pen.fillText(element.textContent ?? "", x, y);
  }
  const seen = element.tagName === "image" && Array.from(document.images).find(({ src }) => src === given("href"));
  if (seen) {
    pen.filter = "grayscale(1)";
    pen.drawImage(seen, x, y, width, height);
    pen.filter = "none";
  }
}

/**
 * The heat map with its title and what its shades mean; of an image its patches at the chosen layer.
 *
 * @param {Unpacked} current
 * @param {ReportState} state
 */
function pictureOf(current, state) {
  const { example } = current;
  // The browser knows the name of SVG's elements, so that the page holds no address.
  const namespace =
    new DOMParser().parseFromString("<svg></svg>", "text/html").querySelector("svg")?.namespaceURI ?? "";
  const own = document.implementation.createDocument(namespace, "svg");
  const ink = isDark() ? "#e8e8e8" : "#1a1a1a";
  /** @type {Add} */
  const add = (tag, attributes, text) => {
    const element = own.createElementNS(namespace, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
    if (text) element.textContent = text;
    own.documentElement.append(element);
  };
  const write = (/** @type {number} */ x, /** @type {number} */ y, /** @type {string} */ text, rest = {}) =>
    add("text", { x, y, fill: ink, "font-family": "system-ui, sans-serif", "font-size": 12, ...rest }, text);
  const layer = layerName(data.encoder_layers, example.layers[state.layer]).whole;
  const asked = queryName(example, state.query).replace(/\s+/g, " ");
  const titles = [
    `${data.model}: ${example.text.replace(/\s+/g, " ").slice(0, 90)}`,
    `relevance to ${asked}${example.picture ? `, layer ${layer}` : ""} · mixing: ${data.settings.mixing}`,
  ];
  const back = isDark() ? "#14171c" : "#ffffff";
  add("title", {}, titles.join("; "));
  add("rect", { width: "100%", height: "100%", fill: back });
  titles.forEach((title, line) => {
    write(GAP, 18 + 17 * line, title, line ? { "font-size": 11 } : { "font-weight": 600 });
  });
  const draw = example.picture ? drawPatches : drawMap;
  const [width, height] = draw(current, state, add, write);
  // From no shade to full shade, in steps; with a sign from what speaks against the number.
  const signed = shownMethods(state).some(current.hasSign);
  const steps = signed ? 20 : 10;
  for (let step = 0; step <= steps; step += 1) {
    const fill = shade(signed ? step / 10 - 1 : step / 10, isDark()).background;
    add("rect", { x: GAP + 56 + 14 * step, y: height + 8, width: 14, height: 12, fill });
  }
  const scale = state.scale === "one" ? "1" : `largest${state.scale === "method" ? " of the method" : " of the layer"}`;
  write(GAP, height + 18, signed ? "against" : state.scale === "range" ? "smallest" : "0");
  write(GAP + 62 + 14 * (steps + 1), height + 18, signed ? "for" : scale);
  const wide = Math.ceil(Math.max(width, GAP * 2 + LETTER * Math.max(...titles.map((title) => title.length)), 420));
  const size = { width: wide, height: height + 32, viewBox: `0 0 ${wide} ${height + 32}` };
  for (const [name, value] of Object.entries(size)) own.documentElement.setAttribute(name, String(value));
  return own.documentElement;
}

/** @type {Draw} */
function drawMap(current, state, add, write) {
  const { example } = current;
  const left = GAP * 2 + LETTER * Math.min(24, Math.max(...example.tokens.map((token) => token.length)));
  example.tokens.forEach((token, row) => {
    const weight = marked(example, state.query) === row ? 600 : 400;
    write(left - 6, TOP + CELL * row + 15, token.slice(0, 24), { "text-anchor": "end", "font-weight": weight });
  });
  let x = left;
  for (const method of shownMethods(state)) {
    const start = x;
    write(start, TOP - 22, method, { "font-weight": 600 });
    example.layers.forEach((number, layer) => {
      const name = layerName(data.encoder_layers, number).short;
      write(x + CELL / 2, TOP - 6, name, { "text-anchor": "middle", "font-size": 10 });
      const scale = bounds(current, method, layer, state.query, state);
      current.row(method, layer, state.query).forEach((value, row) => {
        const fill = shade(shareOf(value, scale), isDark()).background;
        add("rect", { x, y: TOP + CELL * row, width: CELL - 1, height: CELL - 1, fill });
      });
      x += CELL;
    });
    // Room for a long name over few layers.
    x = Math.max(x, start + (LETTER + 0.8) * method.length) + GAP;
  }
  return [x, TOP + CELL * example.tokens.length];
}

/** @type {Draw} */
function drawPatches(current, state, add, write) {
  const { example } = current;
  const { uri, rows, columns } = example.picture ?? { uri: "", rows: 1, columns: 1 };
  const [width, height] = [PATCH * columns, PATCH * rows];
  shownMethods(state).forEach((method, place) => {
    const x = GAP + (width + GAP) * place;
    write(x, TOP - 8, method, { "font-weight": 600 });
    add("image", { href: uri, x, y: TOP, width, height, preserveAspectRatio: "none", style: "filter: grayscale(1)" });
    const scale = bounds(current, method, state.layer, state.query, state);
    let patch = 0;
    current.row(method, state.layer, state.query).forEach((value, token) => {
      if (example.source[token] < 0) return;
      const at = { x: x + PATCH * (patch % columns), y: TOP + PATCH * Math.floor(patch / columns) };
      add("rect", { ...at, width: PATCH, height: PATCH, fill: cover(shareOf(value, scale)) });
      patch += 1;
    });
  });
  return [GAP + (width + GAP) * shownMethods(state).length, TOP + height];
}
