// The box with the numbers of a word or a cell.

import { byId, isolated, make } from "../shared/dom.js";
import { ranks } from "./example.js";
import { data } from "./page.js";
import { explainedBy, layerName } from "./parts.js";

/** @param {number} value */
const number = (value) =>
  value === 0 ? "0" : value >= 1e-4 ? Number(value).toPrecision(6) : Number(value).toExponential(4);

/**
 * @param {ReportExample} example
 * @param {number} query
 */
function aim(example, query) {
  const token = explainedBy(example, query);
  const position = `position ${example.queries[query]}`;
  return token === null ? `to ${position}` : `to ${position}, which predicted ${example.tokens[token]}`;
}

/**
 * @param {Unpacked} current
 * @param {string} method
 * @param {number} layer
 * @param {number} query
 * @param {number} token
 * @returns {[string, string][]}
 */
function describe(current, method, layer, query, token) {
  const { example } = current;
  const value = current.row(method, layer, query)[token];
  const { rank, ties } = ranks(current, method, layer, query)[token];
  /** @type {[string, string][]} */
  const lines = [
    ["", `${method}, layer ${layerName(data.encoder_layers, example.layers[layer]).whole}, ${aim(example, query)}`],
    ["value", number(value)],
    ["rank", `${rank} of ${example.tokens.length}${ties ? `, tied with ${ties} other${ties > 1 ? "s" : ""}` : ""}`],
  ];
  if (current.saturated(method, layer, query, token))
    lines.push(["saturated", "yes: all that leaves the position, or enters the token in the first layer"]);
  if (data.flows.includes(method)) {
    const proven = current.certified(layer, query, token);
    lines.push([
      "certified",
      proven
        ? "yes: proven"
        : data.settings.flow === "smooth"
          ? "no: a smooth value, the exact flow may be more"
          : "no: an upper bound, the exact flow may be less",
    ]);
  }
  return lines;
}

/**
 * @param {Element} anchor
 * @param {Unpacked} current
 * @param {string} method
 * @param {number} layer
 * @param {number} query
 * @param {number} token
 */
export function showTooltip(anchor, current, method, layer, query, token) {
  const tooltip = byId("tooltip");
  const { example } = current;
  const heading = make("strong", {}, isolated(example.tokens[token]), ` at position ${token}`);
  const rows = describe(current, method, layer, query, token).map(([name, text]) =>
    make("div", {}, name ? make("span", { className: "name" }, name) : "", text),
  );
  tooltip.replaceChildren(heading, ...rows);
  tooltip.hidden = false;
  place(tooltip, anchor.getBoundingClientRect());
  for (const other of document.querySelectorAll("[aria-describedby=tooltip]"))
    other.removeAttribute("aria-describedby");
  anchor.setAttribute("aria-describedby", "tooltip");
}

/**
 * @param {HTMLElement} tooltip
 * @param {DOMRect} anchor
 */
function place(tooltip, anchor) {
  const box = tooltip.getBoundingClientRect();
  const left = Math.min(Math.max(8, anchor.left), document.documentElement.clientWidth - box.width - 8);
  const above = anchor.top - box.height - 6;
  tooltip.style.left = `${Math.max(8, left)}px`;
  tooltip.style.top = `${above > 4 ? above : anchor.bottom + 6}px`;
}

export function hideTooltip() {
  byId("tooltip").hidden = true;
}
