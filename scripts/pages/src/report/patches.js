// An image as the model saw it, once a method, each patch shaded over it; and small maps of all layers.

import { breakable, byId, isolated, make, paint, penOf } from "../shared/dom.js";
import { cover, framed, pictureOf } from "../shared/picture.js";
import { shade } from "../shared/scale.js";
import { isDark } from "../shared/theme.js";
import { bounds, shareOf } from "./example.js";
import { data } from "./page.js";

/** @param {ReportExample} example */
export const plain = (example) =>
  make(
    "figure",
    { className: "picture" },
    make("figcaption", {}, "the image, as the model saw it"),
    make("div", { className: "frame colours" }, pictureOf(example.picture, example.text)),
  );

/**
 * The picture without its colours, the patches over it, and the other tokens below.
 *
 * @param {Unpacked} current
 * @param {ReportState} state
 * @param {string} method
 */
export function patchesOf(current, state, method) {
  const { example } = current;
  const columns = example.picture?.columns ?? 1;
  const row = current.row(method, state.layer, state.query);
  const scale = bounds(current, method, state.layer, state.query, state);
  /** @type {HTMLElement[]} */
  const patches = [];
  const beside = make("p", { className: "beside" });
  example.tokens.forEach((name, token) => {
    const special = example.source[token] < 0;
    const element = make("span", {
      className: special ? "token special" : "token patch",
      tabIndex: -1,
      data: { token },
    });
    const share = shareOf(row[token], scale);
    if (special) element.append(isolated(name));
    else element.style.backgroundColor = cover(share);
    if (special && state.special) paint(element, share);
    element.classList.toggle("asked", example.queries[state.query] === token);
    element.classList.toggle("saturated", current.saturated(method, state.layer, state.query, token));
    if (special) beside.append(element);
    else patches.push(element);
  });
  patches[0]?.setAttribute("tabindex", "0");
  const frame = framed(example.picture, example.text, patches);
  return make(
    "figure",
    { className: "picture" },
    make("figcaption", {}, ...breakable(method)),
    make("div", { className: "text patches", data: { method, columns } }, frame, beside),
  );
}

/**
 * For each method a small map a layer; a click chooses the layer.
 *
 * @param {Unpacked} current
 * @param {ReportState} state
 */
export function renderMaps(current, state) {
  const methods = data.methods.filter((method) => state.methods.has(method));
  const rows = methods.map((method) =>
    make(
      "div",
      { className: "maps" },
      make("span", { className: "name" }, ...breakable(method)),
      ...current.example.layers.map((layer, index) =>
        make(
          "button",
          { type: "button", data: { layer: index }, ariaLabel: `${method}, layer ${layer}` },
          mapOf(current, state, method, index),
          String(layer),
        ),
      ),
    ),
  );
  byId("heat").replaceChildren(...rows);
}

/**
 * @param {Unpacked} current
 * @param {ReportState} state
 * @param {string} method
 * @param {number} layer
 */
function mapOf(current, state, method, layer) {
  const { example } = current;
  const { rows, columns } = example.picture ?? { rows: 1, columns: 1 };
  const canvas = make("canvas", { width: columns, height: rows });
  canvas.style.aspectRatio = `${columns} / ${rows}`;
  const pen = penOf(canvas);
  const scale = bounds(current, method, layer, state.query, state);
  const dark = isDark();
  let patch = 0;
  current.row(method, layer, state.query).forEach((value, token) => {
    if (example.source[token] < 0) return;
    pen.fillStyle = shade(shareOf(value, scale), dark).background;
    pen.fillRect(patch % columns, Math.floor(patch / columns), 1, 1);
    patch += 1;
  });
  return canvas;
}
