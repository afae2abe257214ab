// Pictures and numbers as files.

// The whole picture as one SVG that needs nothing else; rasters are in it as pictures.
function svgText(scene) {
  // In a document of its own, where no picture is loaded.
  const own = document.implementation.createDocument(SVG, "svg"), svg = own.documentElement;
  for (const [name, value] of Object.entries({ width: scene.width, height: scene.height, viewBox: `0 0 ${scene.width} ${scene.height}` })) svg.setAttribute(name, value);
  const add = (tag, attributes, text) => {
    const element = own.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) if (value != null) element.setAttribute(name, value);
    if (text) element.textContent = text;
    svg.append(element);
  };
  add("title", {}, scene.title);
  add("rect", { width: scene.width, height: scene.height, fill: colours().back });
  for (const mark of scene.marks) {
    if (mark.kind !== "raster") add(TAGS[mark.kind], attributesOf(mark), mark.text);
    else add("image", { href: enlarged(mark).toDataURL(), x: mark.x + (mark.shift?.[0] ?? 0), y: mark.y + (mark.shift?.[1] ?? 0), width: mark.width, height: mark.height });
  }
  return `${new XMLSerializer().serializeToString(svg)}\n`;
}

// Viewers smooth small pictures; drawn large enough, a number's square keeps its edges.
function enlarged(raster) {
  const canvas = make("canvas", { width: Math.round(raster.width * 2), height: Math.round(raster.height * 2) });
  drawRaster(canvas.getContext("2d"), { ...raster, x: 0, y: 0, width: canvas.width, height: canvas.height });
  return canvas;
}

// The picture's pixels, twice as fine as the screen's, drawn mark by mark: nothing is loaded for it.
function pngCanvas(scene) {
  const scale = 2, canvas = make("canvas", { width: scene.width * scale, height: scene.height * scale });
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  drawOn(pen, scene);
  return canvas;
}

// Numbers with all their digits, texts quoted where they must be.
const csvText = (scene) => scene.table().map((row) => `${row.map(csvCell).join(",")}\n`).join("");

// A spreadsheet runs a text that begins as a formula does, so it gets a quotation mark in front (OWASP, "CSV
// injection"). Some cut lines at other signs than commas, so texts with these are quoted too.
function csvCell(cell) {
  if (cell === null || cell === undefined || Number.isNaN(cell)) return "";
  if (typeof cell === "number") return String(cell);
  const text = String(cell), number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
  const safe = !number && /^\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text) ? `'${text}` : text;
  return /[",;|\t\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

async function saveView(name, kind) {
  const scene = sceneOf(name);
  const file = `jaxflow-${name}-${state.sentence + 1}.${kind}`;
  if (kind === "svg") return saved(file, new Blob([svgText(scene)], { type: "image/svg+xml" }));
  if (kind === "csv") return saved(file, new Blob([csvText(scene)], { type: "text/csv" }));
  return saved(file, await new Promise((done) => pngCanvas(scene).toBlob(done, "image/png")));
}

function saved(file, blob) {
  const link = make("a", { href: URL.createObjectURL(blob), download: file });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
