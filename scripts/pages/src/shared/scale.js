// A scale of one hue whose lightness changes evenly, so that it reads without colour too (OKLCH: Ottosson 2020).
const HUE = (255 * Math.PI) / 180;
// What speaks against the explained number: an orange, which those who confuse colours tell from the blue.
const AGAINST = (60 * Math.PI) / 180;

/**
 * @param {number} lightness
 * @param {number} chroma
 * @param {number} hue
 */
function toSrgb(lightness, chroma, hue) {
  const a = chroma * Math.cos(hue);
  const b = chroma * Math.sin(hue);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((linear) => Math.min(1, Math.max(0, linear)));
}

/** @param {number} linear */
const gamma = (linear) => (linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055);

// The shade of a share of the full scale, and black or white on it, whichever stands out more (4.5 : 1 or better).
const STEPS = 256;

/** @type {Record<string, { background: string, color: string }[]>} */
const shades = {};

/**
 * @param {number} share from 0 to 1; from 0 to -1 for what speaks against the explained number
 * @param {boolean} dark
 */
export function shade(share, dark) {
  const step = Math.round(STEPS * Math.min(1, Math.abs(share)));
  const hue = share < 0 ? AGAINST : HUE;
  const made = (shades[`${dark} ${hue}`] ??= []);
  return (made[step] ??= newShade(step / STEPS, dark, hue));
}

/**
 * @param {number} t
 * @param {boolean} dark
 * @param {number} hue
 */
function newShade(t, dark, hue) {
  const [lightness, chroma] = dark ? [0.25 + 0.6 * t, 0.015 + 0.095 * t] : [0.975 - 0.6 * t, 0.005 + 0.135 * t];
  const linear = toSrgb(lightness, chroma, hue);
  const [red, green, blue] = linear.map((part) => Math.round(255 * gamma(part)));
  const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return { background: `rgb(${red}, ${green}, ${blue})`, color: luminance > 0.179 ? "#000" : "#fff" };
}

// Words whose flows lie within this share of the largest look alike in every shade.
const ALIKE = 0.05;

/**
 * What is said where words are nearly alike: within what percent they lie; "" where they are not, or tie.
 *
 * @param {ArrayLike<number>} row
 * @param {(token: number) => boolean} isWord
 */
export function alike(row, isWord) {
  const words = Array.from(row).filter((_, token) => isWord(token));
  const top = Math.max(0, ...words);
  const spread = words.length < 2 || top <= 0 ? 1 : 1 - Math.min(...words) / top;
  return spread > 1e-6 && spread <= ALIKE ? `all words lie within ${Number((100 * spread).toPrecision(1))} % here` : "";
}

/**
 * What is said of a flow whose words are all 0, as of a class that does not depend on the attention; "" of others.
 *
 * @param {ArrayLike<number>} row
 * @param {(token: number) => boolean} isWord
 */
export function nothing(row, isWord) {
  const words = Array.from(row).filter((_, token) => isWord(token));
  return words.length && words.every((value) => value === 0) ? "nothing flows here from any word" : "";
}
