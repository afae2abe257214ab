// Colours, which are the page's own, and scales for numbers.

const NAMES = ["back", "fore", "soft", "line", "a", "b", "shared", "target", "word"];
const PALETTE = {};
let theme = null; // the theme that is drawn, until another may have been chosen
const themeNow = () => (theme ??= isDark() ? "dark" : "light");

function colours() {
  const style = PALETTE[themeNow()] ? null : getComputedStyle(document.documentElement);
  return (PALETTE[themeNow()] ??= Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])));
}

// Told apart without colour, too.
const DASH = { a: "7 3", b: "2 2.5", shared: null, only: null };
const colourOf = (kind) => (kind === "only" ? colours().b : colours()[kind]);

// Share of the scale, in [0, 1], as a colour; and change in [-1, 1], from the first model's colour to the second's.
const sequential = (share) => shade(share, themeNow() === "dark").background;
const DIVERGING = {};
function diverging(share) {
  const { a, b, back } = colours();
  DIVERGING[themeNow()] ??= linear([-1, 0, 1], [a, back, b]).interpolate(d3.interpolateLab).clamp(true);
  return DIVERGING[themeNow()](share);
}

// The same as 256 pixels, each four bytes in one number.
const PIXELS = new Map();
function pixels(kind) {
  const key = `${kind} ${themeNow()}`;
  if (!PIXELS.has(key)) {
    const colour = kind === "diverging" ? (step) => diverging((step - 128) / 127) : (step) => sequential(step / 255);
    PIXELS.set(key, Uint32Array.from({ length: 256 }, (_, step) => pixelOf(colour(step))));
  }
  return PIXELS.get(key);
}

function pixelOf(colour) {
  const { r, g, b } = d3.rgb(colour);
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

// Scales from a domain to a range, one way for every version of D3.
const linear = (domain, range) => d3.scaleLinear().domain(domain).range(range);
const bands = (domain, range) => d3.scaleBand().domain(domain).range(range);
const points = (domain, range) => d3.scalePoint().domain(domain).range(range);

// Black or white, whichever can be read on a colour.
function inkOn(colour) {
  const { r, g, b } = d3.rgb(colour);
  const [red, green, blue] = [r, g, b].map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}
