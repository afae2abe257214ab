// Making elements. Text of the data reaches the page here only, as text.

import { shade } from "./scale.js";
import { HIDDEN, named } from "./text.js";
import { isDark } from "./theme.js";

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string)} children
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("aria") || name === "role" || name === "scope") element.setAttribute(name, value);
    else Reflect.set(element, name, value);
  }
  element.append(...children);
  return element;
}

/**
 * What draws on a canvas.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 */
export const penOf = (canvas, settings) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", settings));

/**
 * The element of that name; what kind it is stands in the page's HTML, which no type knows.
 *
 * @param {string} id
 * @returns {any}
 */
export const byId = (id) => document.getElementById(id);

/**
 * The text as nodes; line breaks and tabs within a sentence count as spaces.
 *
 * @param {string} text
 * @returns {Node[]}
 */
export function textNodes(text) {
  const nodes = [];
  let plain = "";
  for (const character of text.replace(/[\t\r\n]+/g, " ")) {
    if (!HIDDEN.test(character)) {
      plain += character;
      continue;
    }
    if (plain) nodes.push(document.createTextNode(plain));
    plain = "";
    nodes.push(make("span", { className: "hidden-character", title: "a character without a shape" }, named(character)));
  }
  if (plain) nodes.push(document.createTextNode(plain));
  return nodes;
}

/**
 * One text that its neighbours' direction of writing does not touch.
 *
 * @param {string} text
 * @param {string} [className]
 */
export const isolated = (text, className = "") => make("bdi", { className }, ...textNodes(text));

/**
 * @param {HTMLElement} element
 * @param {number} share
 * @param {boolean} [dark]
 */
export function paint(element, share, dark = isDark()) {
  const { background, color } = shade(share, dark);
  element.style.backgroundColor = background;
  element.style.color = color;
}

/**
 * Arrow keys among elements of which one at a time can be reached by Tab.
 *
 * @param {Iterable<HTMLElement>} elements
 * @param {HTMLElement} target
 */
export function focusOn(elements, target) {
  for (const element of elements) element.tabIndex = -1;
  target.tabIndex = 0;
  target.focus();
}

// From the theme that is seen to the other one, and its name on the button.
export function turnTheme() {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme}`;
}

/**
 * A method's name, which may break before its mixing.
 *
 * @param {string} method
 */
export const breakable = (method) =>
  method.split(/(?=@)/).flatMap((part, index) => (index ? [make("wbr"), part] : [part]));
