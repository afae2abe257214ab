// The threshold's slider.

const LEAST = 4; // the threshold's slider goes from 10 ** -LEAST to 1, and to 0 at its end
/** @param {number} threshold */
export const toSlider = (threshold) =>
  threshold <= 0 ? 0 : Math.max(1, Math.min(100, Math.round(100 * (1 + Math.log10(threshold) / LEAST))));
/** @param {number} value */
export const fromSlider = (value) => (value <= 0 ? 0 : Number((10 ** (LEAST * (value / 100 - 1))).toPrecision(2)));
