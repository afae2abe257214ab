// What the shades, dots and signs of the report mean.

import { byId, make, paint } from "../shared/dom.js";
import { cover } from "../shared/picture.js";
import { data } from "./page.js";

/**
 * @param {Unpacked} current
 * @param {ReportState} state
 */
export function renderLegend(current, state) {
  const image = Boolean(current.example.picture);
  const shown = data.methods.filter((method) => state.methods.has(method));
  const signed = shown.filter(current.hasSign);
  const [least, most] = { one: ["0", "1"], range: ["smallest", "largest"] }[state.scale] ?? ["0", "largest"];
  const parts = signed.length < shown.length ? [`${least} `, rampOf(image, 0), ` ${most}`] : [];
  // Methods with a sign go from what speaks against the explained number to what speaks for it.
  if (signed.length) {
    const which = signed.length < shown.length ? `${signed.join(", ")}: ` : "";
    parts.push(make("span", { className: "signed" }, `${which}against `, rampOf(image, -10, 2), " for"));
  }
  if (data.examples.some(({ saturated }) => Object.values(saturated).some(Boolean)))
    parts.push(make("span", { className: "saturated" }, "dotted"), " saturated: flow says nothing of it here");
  const { parts: two } = current.example;
  const sink = (two === null ? "" : ", the position itself") + (two?.sink == null ? "" : ", a decoder's first token");
  if (!state.special) parts.push(make("span", { className: "muted" }, `▴ over the scale (special tokens${sink})`));
  byId("legend").replaceChildren(...parts);
}

/**
 * @param {boolean} image
 * @param {number} first the first of the steps, of which 10 is full shade
 * @param {number} [by] from one step to the next
 */
function rampOf(image, first, by = 1) {
  const ramp = make("span", { className: image ? "ramp over" : "ramp" });
  for (let step = first; step <= 10; step += by) {
    const box = make("span", { className: "step" });
    if (image) box.style.backgroundColor = cover(step / 10);
    else paint(box, step / 10);
    ramp.append(box);
  }
  return ramp;
}
