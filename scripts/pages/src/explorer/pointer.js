// The pointer in a picture: the mark that is under it, and what is said of that mark.

import { make, penOf } from "../shared/dom.js";
import { fontOf, tracePath } from "./draw.js";
import { attributesOf, dOf, SVG, TAGS } from "./scene.js";
import { hideTip, showTip } from "./tip.js";

const REACH = 6; // an arc is found within this many pixels across
const probe = penOf(make("canvas", { width: 1, height: 1 }));

/**
 * The uppermost mark at a place that says something or can be chosen.
 *
 * @param {Scene} scene
 * @param {number} x
 * @param {number} y
 * @returns {Pointed | null}
 */
function markAt(scene, x, y) {
  for (let index = scene.marks.length - 1; index >= 0; index -= 1) {
    const mark = scene.marks[index];
    const found = covers(mark, x - (mark.shift?.[0] ?? 0), y - (mark.shift?.[1] ?? 0));
    if (found) return found === true ? mark : found;
  }
  return null;
}

/**
 * @param {Mark} mark
 * @param {number} x
 * @param {number} y
 * @returns {boolean | Pointed | undefined}
 */
function covers(mark, x, y) {
  if (mark.kind === "raster") {
    const left = (x - mark.x) / mark.width;
    const top = (y - mark.y) / mark.height;
    return mark.at && left >= 0 && left < 1 && top >= 0 && top < 1 && mark.at(left, top);
  }
  if (mark.quiet || !(mark.is || mark.tip)) return false;
  if (mark.kind === "circle") return (x - mark.x) ** 2 + (y - mark.y) ** 2 <= (mark.r + 1.5) ** 2;
  if (mark.kind === "rect") return x >= mark.x && x <= mark.x + mark.width && y >= mark.y && y <= mark.y + mark.height;
  return mark.kind === "text" ? coversText(mark, x, y) : coversPath(mark, x, y);
}

/**
 * @param {TextMark} mark
 * @param {number} x
 * @param {number} y
 */
function coversText(mark, x, y) {
  probe.font = fontOf(mark);
  const turn = (-(mark.turn ?? 0) * Math.PI) / 180;
  const width = probe.measureText(mark.text).width;
  const half = (mark.size ?? 11) * 0.65;
  const along = (x - mark.x) * Math.cos(turn) - (y - mark.y) * Math.sin(turn);
  const across = (x - mark.x) * Math.sin(turn) + (y - mark.y) * Math.cos(turn);
  const start = { start: 0, middle: -width / 2, end: -width }[mark.anchor ?? "start"];
  return along >= start && along <= start + width && Math.abs(across) <= half;
}

/**
 * A curve lies between its points and those that bend it, so most are out of reach at once.
 *
 * @param {PathMark} mark
 * @param {number} x
 * @param {number} y
 */
function coversPath(mark, x, y) {
  const line = Math.max(REACH, mark.line ?? 1);
  const [left, top, right, bottom] = (mark.bounds ??= boundsOf(dOf(mark)));
  if (x < left - line || x > right + line || y < top - line || y > bottom + line) return false;
  probe.lineWidth = line;
  tracePath(probe, mark);
  return probe.isPointInStroke(x, y);
}

/**
 * @param {string} d
 * @returns {[number, number, number, number]}
 */
function boundsOf(d) {
  const numbers = (d.match(/-?[\d.]+(?:e-?\d+)?/g) ?? []).map(Number);
  const even = numbers.filter((_, at) => at % 2 === 0);
  const odd = numbers.filter((_, at) => at % 2);
  return [Math.min(...even), Math.min(...odd), Math.max(...even), Math.max(...odd)];
}

/**
 * @param {Panel} panel
 * @param {MouseEvent} event
 */
export function pointedAt(panel, event) {
  const box = panel.canvas.getBoundingClientRect();
  const mark = panel.scene && markAt(panel.scene, event.clientX - box.left, event.clientY - box.top);
  panel.stage.classList.toggle("can-pick", Boolean(mark?.is));
  highlight(panel, mark);
  if (mark?.tip) showTip(mark.tip(), event.clientX, event.clientY);
  else hideTip();
  return mark;
}

/**
 * @param {MouseEvent} event a click, which says what made it
 */
export const isTouch = (event) => /** @type {PointerEvent} */ (event).pointerType === "touch";

/** @param {Panel} panel */
export function pointedAway(panel) {
  highlight(panel, null);
  hideTip();
}

/**
 * The arc under the pointer stands out.
 *
 * @param {Panel} panel
 * @param {Pointed | null} mark
 */
export function highlight(panel, mark) {
  const found = mark?.glows && mark.kind === "path" ? mark : null;
  if (panel.glowing === found) return;
  panel.glowing = found;
  panel.svg.replaceChildren();
  // Over a canvas that changes, even what is empty takes time.
  panel.svg.toggleAttribute("hidden", !found);
  if (!found) return;
  const { width, height } = /** @type {Scene} */ (panel.scene);
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height }))
    panel.svg.setAttribute(name, String(value));
  const element = document.createElementNS(SVG, TAGS[found.kind]);
  for (const [name, value] of Object.entries(attributesOf({ ...found, opacity: 1, dash: null })))
    if (value != null) element.setAttribute(name, String(value));
  panel.svg.append(element);
}
