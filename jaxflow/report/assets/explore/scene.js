// A picture as a list of marks, each a plain object: drawn on the page as SVG over a canvas, and the same to a file.
//
// Marks: path {d}, circle {x, y, r}, rect {x, y, width, height}, text {x, y, text, anchor, turn, size, bold}, each with
// fill, stroke, line (width), opacity, dash; raster {canvas, x, y, width, height, at(shareX, shareY)}. What a mark is
// of stands in `is` (an object that the page can choose), what is said of it in `tip` (a function).

const SVG = "http://www.w3.org/2000/svg";
const TAGS = { path: "path", circle: "circle", rect: "rect", text: "text" };
const FONT = "system-ui, sans-serif";

// Text with characters that have no shape by their names, for where no element can mark them.
const shown = (text) => Array.from(text.replace(/[\t\r\n]+/g, " "), (character) => (HIDDEN.test(character) ? `⟨${named(character)}⟩` : character)).join("");
const short = (text, most = 14) => (Array.from(text).length > most ? `${Array.from(text).slice(0, most - 1).join("")}…` : text);

function attributesOf(mark) {
  const { kind } = mark, found = {};
  if (kind === "path") found.d = mark.d;
  if (kind === "circle") Object.assign(found, { cx: round(mark.x), cy: round(mark.y), r: round(mark.r) });
  if (kind === "rect") Object.assign(found, { x: round(mark.x), y: round(mark.y), width: round(mark.width), height: round(mark.height), rx: mark.rx });
  if (kind === "text") {
    Object.assign(found, { "text-anchor": mark.anchor ?? "start", "font-size": mark.size ?? 11, "font-family": FONT, "dominant-baseline": mark.baseline ?? "central" });
    found.transform = `translate(${round(mark.x)} ${round(mark.y)})${mark.turn ? ` rotate(${round(mark.turn)})` : ""}`;
    if (mark.bold) found["font-weight"] = 700;
  }
  found.fill = mark.fill ?? (kind === "text" ? colours().fore : "none");
  if (mark.stroke) Object.assign(found, { stroke: mark.stroke, "stroke-width": round(mark.line ?? 1), "stroke-dasharray": mark.dash });
  if (mark.cap) found["stroke-linecap"] = mark.cap;
  if (mark.opacity !== undefined) found.opacity = round(mark.opacity);
  return found;
}

const round = (value) => Math.round(value * 100) / 100;

// Draws into an <svg>; elements stay as long as there are marks of their kind.
function drawMarks(svg, scene) {
  svg.setAttribute("viewBox", `0 0 ${scene.width} ${scene.height}`);
  svg.setAttribute("width", scene.width);
  svg.setAttribute("height", scene.height);
  const counts = {};
  const marks = scene.marks.filter((mark) => mark.kind !== "raster");
  for (const mark of marks) mark.key = `${mark.kind}${(counts[mark.kind] = (counts[mark.kind] ?? 0) + 1)}`;
  const joined = d3.select(svg).selectAll(".mark").data(marks, (mark) => mark.key);
  joined.exit().remove();
  const entered = joined.enter().append((mark) => document.createElementNS(SVG, TAGS[mark.kind]));
  joined
    .merge(entered)
    .order()
    .each(function applied(mark) {
      const attributes = attributesOf(mark);
      const before = this.attributesBefore ?? {};
      for (const name of Object.keys(before)) if (attributes[name] == null) this.removeAttribute(name);
      for (const [name, value] of Object.entries(attributes)) if (value != null && before[name] !== value) this.setAttribute(name, value);
      this.attributesBefore = attributes;
      const className = `mark${mark.is ? " live" : ""}${mark.className ? ` ${mark.className}` : ""}`;
      if (this.getAttribute("class") !== className) this.setAttribute("class", className);
      if (mark.kind === "text" && this.textContent !== mark.text) this.textContent = mark.text;
    });
}

// Draws the rasters into a <canvas> of the same size, in the screen's own pixels.
function drawRasters(canvas, scene, scale = window.devicePixelRatio || 1) {
  const rasters = scene.marks.filter((mark) => mark.kind === "raster");
  canvas.hidden = !rasters.length;
  if (!rasters.length) return;
  canvas.width = Math.round(scene.width * scale);
  canvas.height = Math.round(scene.height * scale);
  canvas.style.width = `${scene.width}px`;
  canvas.style.height = `${scene.height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  rasters.forEach((raster) => drawRaster(pen, raster));
}

function drawRaster(pen, raster) {
  pen.imageSmoothingEnabled = raster.canvas.width > raster.width;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(raster.canvas, raster.x, raster.y, raster.width, raster.height);
}

// A small picture, a pixel a number: `colour` gives the 256 pixels, `level` a number's place among them.
function rasterOf(columns, rows, value, kind, level) {
  const canvas = make("canvas", { width: columns, height: rows });
  const pen = canvas.getContext("2d"), image = pen.createImageData(columns, rows);
  const lookup = pixels(kind), out = new Uint32Array(image.data.buffer);
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
