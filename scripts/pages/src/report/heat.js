// The heat map: a row for each token, and for each method a column for each layer.

import { breakable, byId, focusOn, isolated, make, paint } from "../shared/dom.js";
import { isDark } from "../shared/theme.js";
import { bounds, shareOf } from "./example.js";
import { data } from "./page.js";
import { isLater, layerName, marked } from "./parts.js";
import { renderMaps } from "./patches.js";

/** @type {{ method: string, layer: number, row: Float32Array, scale: [number, number] }[]} */
let columns = [];

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
  const dense = methods.length * example.layers.length > 20;
  const table = make("table", { role: "grid", className: dense ? "dense" : "" });
  table.append(headOf(example, methods));
  const body = make("tbody");
  columns = methods.flatMap((method) =>
    example.layers.map((_, layer) => ({
      method,
      layer,
      row: current.row(method, layer, state.query),
      scale: bounds(current, method, layer, state.query, state),
    })),
  );
  const dark = isDark();
  example.tokens.forEach((_, token) => body.append(rowOf(example, state, token, dark)));
  table.append(body);
  table.querySelector("td")?.setAttribute("tabindex", "0");
  byId("heat").replaceChildren(...(methods.length ? [table] : []));
  markRest();
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
  const { method, layer } = columns[cell.cellIndex - 1];
  return { method, layer, token: /** @type {HTMLTableRowElement} */ (cell.parentNode).rowIndex - 2 };
}

/** @param {number} layer */
const edge = (layer) => (layer === 0 ? "first" : "");

/**
 * @param {ReportExample} example
 * @param {ReportState} state
 * @param {number} token
 * @param {boolean} dark
 */
function rowOf(example, state, token, dark) {
  const asked = marked(example, state.query) === token;
  const name = make("th", { scope: "row" }, isolated(example.tokens[token]));
  name.classList.toggle("special", example.source[token] < 0);
  name.classList.toggle("asked", asked);
  const cells = columns.map(({ layer, row, scale }) => {
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
  const rows = [...byId("heat").querySelectorAll("tbody tr")];
  const row = rows.indexOf(event.target.parentNode);
  const column = event.target.cellIndex;
  const next = rows[row + step[0]]?.cells[column + step[1]];
  if (next?.tagName === "TD") focusOn(byId("heat").querySelectorAll("td[tabindex='0']"), next);
}
