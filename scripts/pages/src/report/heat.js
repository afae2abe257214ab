// The heat map: a row for each token, and for each method a column for each layer.

import { breakable, byId, focusOn, isolated, make, paint } from "../shared/dom.js";
import { isDark } from "../shared/theme.js";
import { bounds, shareOf } from "./example.js";
import { data } from "./page.js";
import { isLater, layerName, marked } from "./parts.js";
import { renderMaps } from "./patches.js";

/** @type {{ method: string, layer: number, row: Float32Array, scale: [number, number] }[]} */
let columns = [];
// Widths of a cell: the least that its layer's number needs, and the most that helps to read it.
const LEAST = 15;
const MOST = 44;
const EDGE = 10; // room before a method's first layer
const NAME = 80; // and for its name
/** @type {Layout | null} */
let layout = null;

/**
 * How the map stands in the width that there is: methods side by side while their cells stay wide enough, else in
 * bands, one below the other; cells as wide as fits.
 *
 * @param {number} width
 * @param {number} methods
 * @param {number} layers
 * @param {number} names width of the tokens' names
 * @returns {Layout}
 */
export function layoutFor(width, methods, layers, names) {
  const room = Math.max(0, width - names);
  const beside = Math.max(1, Math.min(methods, Math.floor(room / Math.max(NAME, layers * LEAST + EDGE))));
  const bands = Math.ceil(methods / beside);
  // As many in each band as go evenly.
  const each = Math.ceil(methods / bands);
  const cell = Math.floor((room - each * EDGE) / (each * layers));
  return { each, cell: Math.max(LEAST, Math.min(MOST, cell)) };
}

/**
 * @param {ReportExample} example
 * @param {number} methods
 */
function layoutHere(example, methods) {
  const width = byId("heat").clientWidth;
  const longest = Math.max(...example.tokens.map((token) => token.length), 4);
  // About as wide as the style sheet lets names be.
  const names = 12 + Math.min(width < 700 ? 85 : 117, 8 * longest);
  return layoutFor(width, methods, example.layers.length, names);
}

/**
 * Whether the map stands as the width asks for.
 *
 * @param {Unpacked} current
 * @param {ReportState} state
 */
export function fits({ example }, state) {
  if (!layout || example.picture || !state.methods.size) return true;
  const { each, cell } = layoutHere(example, state.methods.size);
  return each === layout.each && cell === layout.cell;
}

/**
 * @param {Unpacked} current
 * @param {ReportState} state
 */
export function renderHeat(current, state) {
  const { example } = current;
  if (example.picture) {
    columns = [];
    return renderMaps(current, state);
  }
  const methods = data.methods.filter((method) => state.methods.has(method));
  columns = methods.flatMap((method) =>
    example.layers.map((_, layer) => ({
      method,
      layer,
      row: current.row(method, layer, state.query),
      scale: bounds(current, method, layer, state.query, state),
    })),
  );
  layout = methods.length ? layoutHere(example, methods.length) : null;
  const tables = [];
  for (let begin = 0; layout && begin < methods.length; begin += layout.each)
    tables.push(tableOf(example, state, methods.slice(begin, begin + layout.each), begin * example.layers.length));
  tables[0]?.querySelector("td")?.setAttribute("tabindex", "0");
  byId("heat").style.setProperty("--cell", `${layout?.cell ?? MOST}px`);
  byId("heat").replaceChildren(...tables);
  markRest();
}

/**
 * A band of the map.
 *
 * @param {ReportExample} example
 * @param {ReportState} state
 * @param {string[]} methods
 * @param {number} begin place of the first of its columns
 */
function tableOf(example, state, methods, begin) {
  const table = make("table", { role: "grid", data: { begin } });
  const body = make("tbody");
  const own = columns.slice(begin, begin + methods.length * example.layers.length);
  const dark = isDark();
  example.tokens.forEach((_, token) => body.append(rowOf(example, state, token, own, dark)));
  table.append(headOf(example, methods), body);
  return table;
}

// Whether the table goes on to the right, which no scroll bar may show.
export function markRest() {
  const heat = byId("heat");
  heat.classList.toggle("more", heat.scrollLeft + heat.clientWidth < heat.scrollWidth - 1);
  byId("heat-more").hidden = heat.scrollWidth <= heat.clientWidth;
}

/**
 * @param {ReportExample} example
 * @param {string[]} methods
 */
function headOf(example, methods) {
  const corner = make("th", { scope: "col", rowSpan: 2, className: "corner" }, "token");
  const names = methods.map((method) =>
    make("th", { scope: "colgroup", colSpan: example.layers.length, className: "group" }, ...breakable(method)),
  );
  const layers = methods.flatMap(() =>
    example.layers.map((layer, index) => {
      const { whole, short } = layerName(data.encoder_layers, layer);
      return make("th", { scope: "col", className: edge(index), title: whole, data: { layer: index } }, short);
    }),
  );
  return make("thead", {}, make("tr", {}, corner, ...names), make("tr", {}, ...layers));
}

/** @param {number} layer */
export function markLayer(layer) {
  for (const cell of byId("heat").querySelectorAll("[data-layer]")) {
    cell.classList.toggle("chosen", Number(cell.dataset.layer) === layer);
  }
}

/**
 * The method, layer and token of a cell; the first column holds the tokens' names, and the head has two rows.
 *
 * @param {HTMLTableCellElement} cell
 */
export function cellAt(cell) {
  const begin = Number(/** @type {HTMLElement} */ (cell.closest("table")).dataset.begin);
  const { method, layer } = columns[begin + cell.cellIndex - 1];
  return { method, layer, token: /** @type {HTMLTableRowElement} */ (cell.parentNode).rowIndex - 2 };
}

/**
 * The cell of a method, layer and token, if it is there.
 *
 * @param {string} method
 * @param {number} layer
 * @param {number} token
 * @returns {HTMLElement | undefined}
 */
export function cellOf(method, layer, token) {
  const place = columns.findIndex((column) => column.method === method && column.layer === layer);
  for (const table of byId("heat").querySelectorAll("table")) {
    const at = place - Number(table.dataset.begin);
    if (place >= 0 && at >= 0 && at < table.rows[2].cells.length - 1) return table.rows[token + 2]?.cells[at + 1];
  }
  return undefined;
}

/** @param {number} layer */
const edge = (layer) => (layer === 0 ? "first" : "");

/**
 * @param {ReportExample} example
 * @param {ReportState} state
 * @param {number} token
 * @param {typeof columns} own
 * @param {boolean} dark
 */
function rowOf(example, state, token, own, dark) {
  const asked = marked(example, state.query) === token;
  const name = make("th", { scope: "row" }, isolated(example.tokens[token]));
  name.classList.toggle("special", example.source[token] < 0);
  name.classList.toggle("asked", asked);
  const cells = own.map(({ layer, row, scale }) => {
    const cell = document.createElement("td");
    cell.tabIndex = -1;
    if (layer === 0) cell.className = "first";
    const share = shareOf(row[token], scale);
    paint(cell, share, dark);
    // Only tokens that don't set the scale can go over it.
    if (Math.abs(share) > 1 + 1e-6) cell.textContent = "▴";
    return cell;
  });
  const row = make("tr", {}, name, ...cells);
  row.classList.toggle("second", example.parts?.start === token);
  row.classList.toggle("later", isLater(example, state.query, token));
  return row;
}

/** @param {KeyboardEvent & { target: any }} event */
export function moveCell(event) {
  /** @type {Record<string, [number, number]>} */
  const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  const step = steps[event.key];
  if (!step || event.target.tagName !== "TD") return;
  event.preventDefault();
  event.stopPropagation();
  const rows = [...event.target.closest("table").querySelectorAll("tbody tr")];
  const row = rows.indexOf(event.target.parentNode);
  const column = event.target.cellIndex;
  const next = rows[row + step[0]]?.cells[column + step[1]];
  if (next?.tagName === "TD") focusOn(byId("heat").querySelectorAll("td[tabindex='0']"), next);
}
