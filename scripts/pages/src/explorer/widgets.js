// Controls that show one field of the state and choose it.

import * as d3 from "../shared/d3.js";
import { make, textNodes } from "../shared/dom.js";
import { set } from "./app.js";
import { inUnits } from "./page.js";

/**
 * One choice of a few, as buttons; `field` is of the state. Titles are the page's own words, texts may be the data's.
 *
 * @param {keyof State} field
 * @param {[string, string, string][]} options
 */
export function segment(field, options) {
  const box = make("span", { className: "segment", role: "radiogroup", data: { field } });
  for (const [value, text, title] of options) {
    const button = make(
      "button",
      { type: "button", title: inUnits(title), role: "radio", data: { value } },
      ...textNodes(text),
    );
    button.addEventListener("click", () => set({ [field]: value }));
    box.append(button);
  }
  return box;
}

/**
 * The same as a list; `read` turns an option's text into the state's value.
 *
 * @param {keyof State} field
 * @param {[string, string][]} options
 * @param {string} label
 * @param {(text: string) => string | number | null} [read]
 */
export function chooser(field, options, label, read = (text) => text) {
  const select = make("select", { id: `choose-${field}`, data: { field }, title: inUnits(label) });
  select.setAttribute("aria-label", inUnits(label));
  select.append(...options.map(([value, text]) => make("option", { value }, ...textNodes(text))));
  select.addEventListener("change", () => set({ [field]: read(select.value) }));
  return select;
}

/**
 * @param {string} name
 * @param {...(Node | string)} children
 */
export const field = (name, ...children) =>
  make(
    "div",
    { className: "field" },
    make("span", { className: "name" }, inUnits(name)),
    make("span", { className: "group" }, ...children),
  );
/**
 * @param {number} most
 * @param {number} [first]
 * @returns {[string, string][]}
 */
export const numbersTo = (most, first = 1) =>
  d3.range(first, most + 1).map((number) => [String(number), String(number)]);

/**
 * What has not changed is left alone: the browser would lay the page out again.
 *
 * @param {Element} element
 * @param {string} name
 * @param {string} value
 */
export function said(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/**
 * @param {HTMLSelectElement & { filled?: string }} select
 * @param {[string, string][]} options
 */
export function fill(select, options) {
  const key = JSON.stringify(options);
  if (select.filled === key) return;
  select.filled = key;
  select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
}
