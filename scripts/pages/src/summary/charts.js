// Line charts. Each kind of line has a colour, a dash and a mark of its own, so that colour is not needed.

import * as d3 from "../shared/d3.js";
import "../shared/format.js";
import { make } from "../shared/dom.js";

/** @typedef {{ dash: string | null, symbol: import("d3").SymbolType, look: string }} Kind */

/** @type {Record<string, Kind>} */
const KINDS = {
  raw: { dash: "2 3", symbol: d3.symbolDiamond, look: "raw" },
  rollout: { dash: "7 3", symbol: d3.symbolCircle, look: "rollout" },
  flow: { dash: null, symbol: d3.symbolSquare, look: "flow" },
  "raw-rollout": { dash: "2 3", symbol: d3.symbolDiamond, look: "raw-rollout" },
  "raw-flow": { dash: "7 3", symbol: d3.symbolTriangle, look: "raw-flow" },
  "rollout-flow": { dash: null, symbol: d3.symbolCircle, look: "rollout-flow" },
};

// Of other methods, and of their pairs: each the next one, which differ by mark and dash, not by colour alone.
const SYMBOLS = [d3.symbolStar, d3.symbolTriangle, d3.symbolCross, d3.symbolWye];
const DASHES = ["9 3 2 3", "4 4", null];
/** @type {Map<string, Kind>} */
const others = new Map();

/**
 * How a kind of line looks: `look` is its class.
 *
 * @param {string} kind
 * @returns {Kind}
 */
export function lookOf(kind) {
  const known = KINDS[kind] ?? others.get(kind);
  if (known) return known;
  const number = others.size;
  const made = {
    dash: DASHES[number % DASHES.length],
    symbol: SYMBOLS[number % SYMBOLS.length],
    look: `other-${number % SYMBOLS.length}`,
  };
  others.set(kind, made);
  return made;
}

const WIDTH = 340;
const HEIGHT = 190;
const LEFT = 46;
const BOTTOM = 34;
const TOP = 10;
const RIGHT = 12;
const MARKED = 40; // most points of a line that are marked
/** @param {number} value */
export const digits = (value) =>
  value === 0 ? "0" : Math.abs(value) >= 1e-3 ? String(Number(value.toPrecision(4))) : value.toExponential(2);

/**
 * A scale from 0, or below; of numbers above 0 of which one is far above the others, by their logarithms.
 *
 * @param {number[]} known
 * @param {number | null} high
 * @param {boolean} logarithms
 */
function heights(known, high, logarithms) {
  const range = [HEIGHT - BOTTOM, TOP];
  const least = d3.min(known) ?? 0;
  const most = high ?? (d3.max(known) || 1);
  if (logarithms && least > 0 && most > 5 * (d3.median(known) ?? 0))
    return d3.scaleLog().domain([least, most]).range(range).nice();
  return d3
    .scaleLinear()
    .domain([Math.min(0, least), most])
    .nice(4)
    .range(range);
}

/**
 * A chart of lines [{kind, name, values}] over x; null is what is not defined, and leaves a gap.
 *
 * @param {Chart} options
 */
export function chart({ title, note, x, xName, lines, high = null, logarithms = false }) {
  const known = lines.flatMap(({ values }) => values.filter((value) => value !== null));
  const across = d3
    .scaleLinear()
    .domain(x.length > 1 ? [Math.min(...x), Math.max(...x)] : [x[0] - 1, x[0] + 1])
    .range([LEFT, WIDTH - RIGHT]);
  const up = heights(known, high, logarithms);
  const [bottom] = up.domain();
  const log = "base" in up;
  const svg = d3
    .create("svg")
    .attr("viewBox", `0 0 ${WIDTH} ${HEIGHT}`)
    .attr("role", "img")
    .attr("aria-label", spoken(title, x, xName, lines));
  const ticks = x.length <= 12 ? x : across.ticks(8).filter(Number.isInteger);
  svg
    .append("g")
    .attr("transform", `translate(0,${HEIGHT - BOTTOM})`)
    .call(d3.axisBottom(across).tickValues(ticks).tickFormat(String));
  svg
    .append("g")
    .attr("transform", `translate(${LEFT},0)`)
    .call(log ? d3.axisLeft(up).ticks(4, "~g") : d3.axisLeft(up).ticks(4));
  if (bottom < 0)
    svg
      .append("path")
      .attr("class", "zero")
      .attr("d", `M${LEFT},${up(0)}H${WIDTH - RIGHT}`);
  svg
    .append("text")
    .attr("x", (LEFT + WIDTH - RIGHT) / 2)
    .attr("y", HEIGHT - 2)
    .attr("text-anchor", "middle")
    .text(xName);
  for (const { kind, name, values } of lines) drawLine(svg, { kind, name, x, xName, values, across, up });
  return make(
    "figure",
    { data: { chart: title } },
    make("figcaption", {}, title, make("small", {}, note + (log ? "; logarithmic" : ""))),
    /** @type {SVGSVGElement} */ (svg.node()),
  );
}

/**
 * @param {any} svg
 * @param {ChartLine & { x: number[], xName: string, across: (value: number) => number, up: (value: number) => number }} options
 */
function drawLine(svg, { kind, name, x, xName, values, across, up }) {
  const { dash, symbol, look } = lookOf(kind);
  const group = svg.append("g").attr("class", look);
  const path = /** @type {import("d3").Line<number | null>} */ (d3.line())
    .defined((value) => value !== null)
    .x((_, index) => across(x[index]))
    .y((value) => up(value ?? 0));
  group.append("path").attr("class", "line").attr("stroke-dasharray", dash).attr("d", path(values));
  values.forEach((value, index) => {
    const alone = (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null;
    if (value === null || (values.length > MARKED && !alone)) return;
    const mark = group.append("path").attr("class", "mark").attr("d", d3.symbol().type(symbol).size(44)());
    mark
      .attr("transform", `translate(${across(x[index])},${up(value)})`)
      .append("title")
      .text(`${name}, ${xName} ${x[index]}: ${digits(value)}`);
  });
}

/**
 * The chart in words, for who does not see it.
 *
 * @param {string} title
 * @param {number[]} x
 * @param {string} xName
 * @param {ChartLine[]} lines
 */
function spoken(title, x, xName, lines) {
  if (x.length > MARKED) return `${title} by ${xName}`;
  const said = lines.map(
    ({ name, values }) =>
      `${name}: ${values.map((value) => (value === null ? "not defined" : digits(value))).join(", ")}`,
  );
  return `${title}, by ${xName} from ${x[0]} to ${x[x.length - 1]}. ${said.join(". ")}`;
}

/**
 * What stands for each kind of line.
 *
 * @param {Record<string, string>} kinds
 */
export function legend(kinds) {
  return Object.entries(kinds).map(([kind, name]) => {
    const { dash, symbol, look } = lookOf(kind);
    const svg = d3
      .create("svg")
      .attr("viewBox", "0 0 34 12")
      .attr("width", 34)
      .attr("height", 12)
      .attr("aria-hidden", "true");
    const group = svg.append("g").attr("class", look);
    group.append("path").attr("class", "line").attr("stroke-dasharray", dash).attr("d", "M0,6H34");
    group
      .append("path")
      .attr("class", "mark")
      .attr("d", d3.symbol().type(symbol).size(44)())
      .attr("transform", "translate(17,6)");
    const node = /** @type {SVGSVGElement} */ (svg.node());
    node.style.width = "34px";
    return make("span", {}, node, name);
  });
}
