// The list of sentences, with search and the filter by prediction.

import { byId, isolated, make, textNodes } from "../shared/dom.js";
import { sharedBeginning } from "../shared/text.js";
import { data, inUnits } from "./page.js";

/** @param {ReportExample} example */
const whole = (example) => (example.pair === null ? example.text : `${example.text} | ${example.pair}`);
// Conversations begin with the same instructions: left out of the list, where they would hide what tells texts apart.
const beginning = sharedBeginning(data.examples.map((example) => example.text));
const searched = data.examples.map((example) => whole(example).toLowerCase());

/**
 * @param {(index: number) => void} choose
 * @returns {HTMLElement[]}
 */
export function setUpSentences(choose) {
  const labels = [...new Set(data.examples.map((example) => example.prediction).filter((label) => label !== null))];
  const select = byId("label");
  select.append(make("option", { value: "" }, "any"));
  labels
    .sort()
    .forEach((label, index) => select.append(make("option", { value: String(index + 1) }, ...textNodes(label))));
  select.hidden = /** @type {HTMLElement} */ (document.querySelector("label[for=label]")).hidden = !labels.length;
  const items = data.examples.map((example, index) => item(example, index, choose));
  byId("sentences").append(...items);
  const filter = () => {
    const wanted = byId("search").value.trim().toLowerCase();
    const label = labels[Number(select.value) - 1];
    let count = 0;
    items.forEach((element, index) => {
      const fits = searched[index].includes(wanted) && (!label || data.examples[index].prediction === label);
      element.hidden = !fits;
      count += Number(fits);
    });
    byId("count").textContent = `${count} of ${items.length} ${inUnits("sentences")}`;
  };
  byId("search").addEventListener("input", filter);
  select.addEventListener("change", filter);
  filter();
  return items;
}

/**
 * @param {ReportExample} example
 * @param {number} index
 * @param {(index: number) => void} choose
 */
function item(example, index, choose) {
  const button = make("button", { type: "button" });
  if (example.id !== example.text) button.append(make("span", { className: "id" }, String(example.id)));
  // Its name stands beside it.
  if (example.picture) button.append(make("img", { src: example.picture.uri, alt: "", className: "small" }));
  button.append(sentence(example));
  if (example.prediction !== null) button.append(make("span", { className: "label" }, isolated(example.prediction)));
  button.addEventListener("click", () => choose(index));
  return make("li", {}, button);
}

/** @param {ReportExample} example */
function sentence(example) {
  const characters = [...whole(example).slice(beginning)];
  const end = characters.length > 300 ? "…" : "";
  const text = `${beginning ? "… " : ""}${characters.slice(0, 300).join("")}${end}`;
  return make("span", { className: "sentence", dir: "auto" }, ...textNodes(text));
}

/**
 * @param {HTMLElement[]} items
 * @param {number} index
 */
export function mark(items, index) {
  items.forEach((element, other) => {
    const button = /** @type {HTMLElement} */ (element.firstChild);
    if (other === index) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  });
  // Within the list only: the page itself stays where the reader has it.
  const list = byId("sentences");
  const box = items[index].getBoundingClientRect();
  const frame = list.getBoundingClientRect();
  list.scrollTop += Math.min(0, box.top - frame.top) + Math.max(0, box.bottom - frame.bottom);
}
