// Panels: each shows one view of what is chosen, with its own controls, and can be enlarged and saved.

const panels = new Map();

// A view gives its name, title, a line of help, extra controls, and draws: (context, width, tall) -> scene.
function addPanel(view) {
  const canvas = make("canvas", { className: "under" });
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "over");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", view.title);
  const stage = make("div", { className: "stage", tabIndex: 0, data: { view: view.name } }, canvas);
  stage.append(svg);
  const note = make("p", { className: "note" });
  const button = (text, title, action, name) => {
    const found = make("button", { type: "button", title, className: "small", data: { save: name ?? "" } }, text);
    found.addEventListener("click", action);
    return found;
  };
  const large = button("⤢", `Enlarge, or back (key ${VIEWS.indexOf(view.name) + 1})`, () => enlarge(view.name));
  large.setAttribute("aria-label", `Enlarge ${view.title}`);
  const saves = ["svg", "png", "csv"].map((kind) => button(kind.toUpperCase(), `Save ${kind === "csv" ? "its numbers" : "this view"} as ${kind.toUpperCase()}`, () => saveView(view.name, kind), kind));
  const head = make("div", { className: "panel-head" }, make("h2", { title: view.help }, view.title), ...(view.controls ?? []), make("span", { className: "saves" }, ...saves, large));
  const element = make("section", { className: "panel", id: `panel-${view.name}` }, head, stage, note);
  element.style.order = String(VIEWS.indexOf(view.name));
  document.querySelectorAll("#panels .column")[view.column].append(element);
  panels.set(view.name, { view, element, stage, canvas, svg, note, scene: null });
  stage.addEventListener("mousemove", (event) => pointedAt(panels.get(view.name), event));
  stage.addEventListener("mouseleave", hideTip);
  stage.addEventListener("click", (event) => {
    const is = markAt(panels.get(view.name), event)?.is;
    if (is) pick(is, event.shiftKey || event.ctrlKey || event.metaKey);
  });
}

function enlarge(name) {
  set({ view: state.view === name ? "" : name });
  if (state.view) panels.get(name).stage.focus();
}

function drawPanels(context) {
  for (const [name, panel] of panels) panel.element.hidden = Boolean(state.view) && state.view !== name;
  byId("panels").classList.toggle("one", Boolean(state.view));
  // Widths are read before anything is changed, so that the page is laid out once.
  const open = [...panels.values()].filter((panel) => !panel.element.hidden);
  const widths = open.map((panel) => panel.element.clientWidth - 22);
  open.forEach((panel, number) => drawPanel(panel, context, Math.max(280, widths[number])));
}

function drawPanel(panel, context, width) {
  const tall = state.view ? Math.max(360, window.innerHeight - 230) : null;
  const key = [stateKey(panel.view.uses), width, tall, isDark(), panel.view.waits?.(context)].join(" ");
  if (panel.key === key) return;
  panel.key = key;
  const scene = panel.view.draw(context, width, tall);
  scene.title = `${panel.view.title}: ${context.names.join(", ")}`;
  panel.scene = scene;
  panel.note.textContent = scene.note ?? "";
  drawRasters(panel.canvas, scene);
  drawMarks(panel.svg, scene);
}

// The mark under the pointer: an element of the SVG, else a square of a raster.
function markAt(panel, event) {
  const mark = d3.select(event.target).datum?.();
  if (mark?.is) return mark;
  const box = panel.svg.getBoundingClientRect();
  const x = event.clientX - box.left, y = event.clientY - box.top;
  for (const raster of panel.scene?.marks ?? []) {
    if (raster.kind !== "raster" || !raster.at) continue;
    const left = (x - raster.x) / raster.width, top = (y - raster.y) / raster.height;
    if (left >= 0 && left < 1 && top >= 0 && top < 1) return raster.at(left, top);
  }
  return mark?.tip ? mark : null;
}

function pointedAt(panel, event) {
  const mark = markAt(panel, event);
  if (!mark?.tip) return hideTip();
  panel.stage.classList.toggle("can-pick", Boolean(mark.is));
  return showTip(mark.tip(), event.clientX, event.clientY);
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

const digits = (value) => (value === null || value === undefined || Number.isNaN(value) ? "not computed" : value === 0 ? "0" : Math.abs(value) >= 1e-3 ? d3.format(".4~r")(value) : Number(value).toExponential(2));

// Lines of a box for one number of each model that is shown, and their difference.
function perModel(context, values) {
  const lines = values.map((value, number) => [context.names[number], digits(value)]);
  if (values.length === 2) lines.push(["change", `${values[1] > values[0] ? "+" : ""}${digits(values[1] - values[0])}`]);
  return lines;
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
