// Colours, which are the page's own, and scales for numbers.

import * as d3 from "../shared/d3.js";
import { shade } from "../shared/scale.js";
import { isDark } from "../shared/theme.js";

const NAMES = ["back", "fore", "soft", "line", "a", "b", "shared", "target", "word"];
/** @type {Record<string, Record<string, string>>} */
const PALETTE = {};
/** @type {"dark" | "light" | null} */
let theme = null; // the theme that is drawn, until another may have been chosen
export const themeNow = () => (theme ??= isDark() ? "dark" : "light");

// Has the theme read anew, when another may have been chosen.
export function forgetTheme() {
  theme = null;
}

export function colours() {
  if (!PALETTE[themeNow()]) {
    const style = getComputedStyle(document.documentElement);
    const found = NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]);
    PALETTE[themeNow()] = Object.fromEntries(found);
  }
  return PALETTE[themeNow()];
}

// Told apart without colour, too.
export const DASH = { a: "7 3", b: "2 2.5", shared: null, only: null };

/**
 * Share of the scale, in [0, 1], as a colour; and change in [-1, 1], from the first model's colour to the second's.
 *
 * @param {number} share
 */
export const sequential = (share) => shade(share, themeNow() === "dark").background;

/** @type {Record<string, (share: number) => string>} */
const DIVERGING = {};

/** @param {number} share */
export function diverging(share) {
  const { a, b, back } = colours();
  DIVERGING[themeNow()] ??= d3.scaleLinear([a, back, b]).domain([-1, 0, 1]).interpolate(d3.interpolateLab).clamp(true);
  return DIVERGING[themeNow()](share);
}

// The same as 256 pixels, each four bytes in one number.
const PIXELS = new Map();

/** @param {string} kind */
export function pixels(kind) {
  const key = `${kind} ${themeNow()}`;
  if (!PIXELS.has(key)) {
    const colour =
      kind === "diverging"
        ? (/** @type {number} */ step) => diverging((step - 128) / 127)
        : (/** @type {number} */ step) => sequential(step / 255);
    PIXELS.set(
      key,
      Uint32Array.from({ length: 256 }, (_, step) => pixelOf(colour(step))),
    );
  }
  return PIXELS.get(key);
}

/** @param {string} colour */
function pixelOf(colour) {
  const { r, g, b } = d3.rgb(colour);
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/**
 * Scales from a domain to a range, one way for every version of D3.
 *
 * @param {number[]} domain
 * @param {number[]} range
 */
export const linear = (domain, range) => d3.scaleLinear().domain(domain).range(range);

/**
 * @param {number[]} domain
 * @param {[number, number]} range
 */
export const bands = (domain, range) =>
  /** @type {import("d3").ScaleBand<number>} */ (d3.scaleBand()).domain(domain).range(range);
/**
 * @param {number[]} domain
 * @param {[number, number]} range
 */
export const points = (domain, range) =>
  /** @type {import("d3").ScalePoint<number>} */ (d3.scalePoint()).domain(domain).range(range);

/**
 * Black or white, whichever can be read on a colour.
 *
 * @param {string} colour
 */
export function inkOn(colour) {
  const { r, g, b } = d3.rgb(colour);
  const [red, green, blue] = [r, g, b].map((part) =>
    part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}
