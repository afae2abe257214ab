// The pointer in a picture: the mark that is under it, what is said of that mark, and what a click on it chooses.

const REACH = 6; // an arc is found within this many pixels across
const probe = make("canvas", { width: 1, height: 1 }).getContext("2d");

// The uppermost mark at a place that says something or can be chosen.
function markAt(scene, x, y) {
  for (let index = scene.marks.length - 1; index >= 0; index -= 1) {
    const mark = scene.marks[index], found = covers(mark, x - (mark.shift?.[0] ?? 0), y - (mark.shift?.[1] ?? 0));
    if (found) return found === true ? mark : found;
  }
  return null;
}

function covers(mark, x, y) {
  if (mark.kind === "raster") {
    const left = (x - mark.x) / mark.width, top = (y - mark.y) / mark.height;
    return mark.at && left >= 0 && left < 1 && top >= 0 && top < 1 && mark.at(left, top);
  }
  if (mark.quiet || !(mark.is || mark.tip)) return false;
  if (mark.kind === "circle") return (x - mark.x) ** 2 + (y - mark.y) ** 2 <= (mark.r + 1.5) ** 2;
  if (mark.kind === "rect") return x >= mark.x && x <= mark.x + mark.width && y >= mark.y && y <= mark.y + mark.height;
  return mark.kind === "text" ? coversText(mark, x, y) : coversPath(mark, x, y);
}

function coversText(mark, x, y) {
  probe.font = fontOf(mark);
  const turn = (-(mark.turn ?? 0) * Math.PI) / 180, width = probe.measureText(mark.text).width, half = (mark.size ?? 11) * 0.65;
  const along = (x - mark.x) * Math.cos(turn) - (y - mark.y) * Math.sin(turn), across = (x - mark.x) * Math.sin(turn) + (y - mark.y) * Math.cos(turn);
  const start = { middle: -width / 2, end: -width }[mark.anchor] ?? 0;
  return along >= start && along <= start + width && Math.abs(across) <= half;
}

// A curve lies between its points and those that bend it, so most are out of reach at once.
function coversPath(mark, x, y) {
  const line = Math.max(REACH, mark.line ?? 1), [left, top, right, bottom] = (mark.bounds ??= boundsOf(dOf(mark)));
  if (x < left - line || x > right + line || y < top - line || y > bottom + line) return false;
  probe.lineWidth = line;
  tracePath(probe, mark);
  return probe.isPointInStroke(x, y);
}

function boundsOf(d) {
  const numbers = d.match(/-?[\d.]+(?:e-?\d+)?/g).map(Number), even = numbers.filter((_, at) => at % 2 === 0), odd = numbers.filter((_, at) => at % 2);
  return [Math.min(...even), Math.min(...odd), Math.max(...even), Math.max(...odd)];
}

function pointedAt(panel, event) {
  const box = panel.canvas.getBoundingClientRect();
  const mark = panel.scene && markAt(panel.scene, event.clientX - box.left, event.clientY - box.top);
  panel.stage.classList.toggle("can-pick", Boolean(mark?.is));
  highlight(panel, mark);
  if (mark?.tip) showTip(mark.tip(), event.clientX, event.clientY);
  else hideTip();
  return mark;
}

function pointedAway(panel) {
  highlight(panel, null);
  hideTip();
}

// The arc under the pointer stands out.
function highlight(panel, mark) {
  const found = mark?.glows ? mark : null;
  if (panel.glowing === found) return;
  panel.glowing = found;
  panel.svg.replaceChildren();
  // Over a canvas that changes, even what is empty takes time.
  panel.svg.toggleAttribute("hidden", !found);
  if (!found) return;
  const { width, height } = panel.scene;
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height })) panel.svg.setAttribute(name, value);
  const element = document.createElementNS(SVG, TAGS[found.kind]);
  for (const [name, value] of Object.entries(attributesOf({ ...found, opacity: 1, dash: null }))) if (value != null) element.setAttribute(name, value);
  panel.svg.append(element);
}

// The box with numbers: a heading, and names with values.
function showTip([heading, ...rows], x, y) {
  const tip = byId("tooltip");
  tip.replaceChildren(make("strong", {}, ...textNodes(heading)), ...rows.map(([name, text]) => make("div", {}, make("span", { className: "name" }, name), ...textNodes(String(text)))));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(x + 14, document.documentElement.clientWidth - box.width - 8))}px`;
  tip.style.top = `${y + 18 + box.height > window.innerHeight ? Math.max(4, y - box.height - 10) : y + 18}px`;
}

function hideTip() {
  byId("tooltip").hidden = true;
}

// A click: on a word it is traced; on a position above, asked for; on an arc, both; on a head or layer, it is shown.
function pick(is, more) {
  if (is.head !== undefined) return more ? toggleHead(is.layer, is.head) : set({ layer: is.layer, head: is.head });
  if (is.cell) return set({ cell: state.cell === is.cell ? "" : is.cell });
  const changes = {};
  if (is.layer) changes.layer = is.layer;
  if (is.word !== undefined) changes.word = more || (state.word === is.word && is.position === undefined) ? null : is.word;
  if (is.position !== undefined) changes.position = is.position;
  return set(changes);
}

function toggleHead(layer, head) {
  const names = headNames(), name = `${layer}.${head}`;
  if (!names.delete(name)) names.add(name);
  set({ heads: [...names].sort().join("_") });
}
