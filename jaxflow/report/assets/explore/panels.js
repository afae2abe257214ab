// Panels: each shows one view of what is chosen, with its own controls, and can be enlarged and saved.

const panels = new Map();
const FIRST_SEEN = 2; // panels that are taken to be in sight until the browser has said which are

// A view gives its name, title, a line of help, extra controls, and draws: (context, width, tall) -> scene.
function addPanel(view) {
  const canvas = make("canvas", { className: "under", role: "img", "aria-label": view.title });
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "over");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("hidden", "");
  const stage = make("div", { className: "stage", tabIndex: 0, role: "group", "aria-label": view.title, data: { view: view.name } }, canvas);
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
  const panel = { view, element, stage, canvas, svg, note, scene: null, width: 280, near: VIEWS.indexOf(view.name) < FIRST_SEEN };
  panels.set(view.name, panel);
  sight.observe(element);
  stage.addEventListener("mousemove", (event) => pointedAt(panel, event));
  stage.addEventListener("mouseleave", () => pointedAway(panel));
  stage.addEventListener("click", (event) => {
    const is = pointedAt(panel, event)?.is;
    if (is) pick(is, event.shiftKey || event.ctrlKey || event.metaKey);
  });
}

// Which panels can be seen, so that they are drawn first.
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) panels.get(target.id.replace("panel-", "")).near = isIntersecting;
});

function enlarge(name) {
  set({ view: state.view === name ? "" : name });
  if (state.view) panels.get(name).stage.focus();
}

// Widths are read from the page only when they may have changed: to ask for them makes the browser lay it out.
let measuredFor = null;
new ResizeObserver(() => {
  if (measuredFor === null || byId("panels").clientWidth === measuredFor.room) return;
  measuredFor = null;
  void render();
}).observe(byId("panels"));

function measurePanels(open) {
  if (measuredFor?.view === state.view) return;
  measuredFor = { view: state.view, room: byId("panels").clientWidth };
  for (const panel of open) panel.width = Math.max(280, panel.element.clientWidth - 22);
}

// Draws the panels that are in sight, and gives what does the rest: the list's place, and the other panels, one at a
// time, for as long as `wanted` says.
function drawPanels(context, wanted) {
  for (const [name, panel] of panels) panel.element.hidden = Boolean(state.view) && state.view !== name;
  byId("panels").classList.toggle("one", Boolean(state.view));
  const open = [...panels.values()].filter((panel) => !panel.element.hidden);
  measurePanels(open);
  const later = [];
  for (const panel of open) {
    if (state.view || panel.near) drawPanel(panel, context);
    else if (panel.key !== keyOf(panel, context)) later.push(panel);
  }
  return async () => {
    await nextFrame();
    scrollList();
    for (const panel of later) {
      if (!wanted()) return;
      drawPanel(panel, context);
      await nextTurn();
    }
  };
}

const tallNow = () => (state.view ? Math.max(360, window.innerHeight - 230) : null);

const keyOf = (panel, context) => [stateKey(panel.view.uses), panel.width, tallNow(), themeNow(), window.devicePixelRatio, panel.view.waits?.(context)].join(" ");

function drawPanel(panel, context) {
  const key = keyOf(panel, context);
  if (panel.key === key) return;
  panel.key = key;
  highlight(panel, null);
  const scene = panel.view.draw(context, panel.width, tallNow());
  scene.title = `${panel.view.title}: ${context.names.join(", ")}`;
  panel.scene = scene;
  panel.note.textContent = scene.note ?? "";
  drawScene(panel.canvas, scene);
}

// A view's picture as it is now, though it may not have come into sight yet.
function sceneOf(name) {
  const panel = panels.get(name);
  if (context && turn === drawnTurn && !panel.element.hidden) drawPanel(panel, context);
  return panel.scene;
}

// Numbers as they are shown, and in boxes.
const FOUR = d3.format(".4~r");
const digits = (value) => (value === null || value === undefined || Number.isNaN(value) ? "not computed" : value === 0 ? "0" : Math.abs(value) >= 1e-3 ? FOUR(value) : Number(value).toExponential(2));

// Lines of a box for one number of each model that is shown, and their difference.
function perModel(context, values) {
  const lines = values.map((value, number) => [context.names[number], digits(value)]);
  if (values.length === 2) lines.push(["change", `${values[1] > values[0] ? "+" : ""}${digits(values[1] - values[0])}`]);
  return lines;
}
