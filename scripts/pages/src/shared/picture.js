// A picture of patches: the image without its colours, a cell over each patch.

import { make } from "./dom.js";

// Over a picture shades are a hue, as elsewhere blue for the number and orange against it, and more of it covers more.
const FOR = "20, 105, 255";
const AGAINST = "255, 140, 0";
const COVER = 0.82;

/** @param {number} share */
export const cover = (share) => `rgba(${share < 0 ? AGAINST : FOR}, ${COVER * Math.min(1, Math.abs(share))})`;

/**
 * @param {{ uri: string } | null | undefined} picture
 * @param {string} text
 */
export const pictureOf = (picture, text) =>
  make("img", { src: picture?.uri ?? "", alt: text, draggable: false, className: "seen" });

/**
 * The picture with its cells, which are given row by row.
 *
 * @param {{ uri: string, columns: number } | null | undefined} picture
 * @param {string} text
 * @param {HTMLElement[]} patches
 */
export function framed(picture, text, patches) {
  const cells = make("div", { className: "cells" }, ...patches);
  cells.style.gridTemplateColumns = `repeat(${picture?.columns ?? 1}, 1fr)`;
  return make("div", { className: "frame" }, pictureOf(picture, text), cells);
}
