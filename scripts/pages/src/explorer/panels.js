// Panels: each shows one view of what is chosen, with its own controls, and can be enlarged and saved.

import { byId, make } from "../shared/dom.js";
import { short } from "../shared/text.js";
import { pick } from "./actions.js";
import { isDrawn, now, render, set, settled } from "./app.js";
import { themeNow } from "./colours.js";
import { drawScene } from "./draw.js";
import { saveScene } from "./export.js";
import { scrollList } from "./list.js";
import { inUnits } from "./page.js";
import { highlight, isTouch, pointedAt, pointedAway } from "./pointer.js";
import { SVG } from "./scene.js";
import { state } from "./state.js";
import { stateKey } from "./uses.js";
import { VIEWS } from "./views/index.js";

/** @type {Map<string, Panel>} */
const panels = new Map();

/** @param {string} name */
const panelOf = (name) => /** @type {Panel} */ (panels.get(name));
const FIRST_SEEN = 2; // panels that are taken to be in sight until the browser has said which are

/**
 * A view gives its name, title, a line of help, extra controls, and draws: (context, width, tall) -> scene.
 *
 * @param {View} view
 */
export function addPanel(view) {
  const canvas = make("canvas", { className: "under", role: "img", "aria-label": inUnits(view.title) });
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "over");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("hidden", "");
  const stage = make(
    "div",
    { className: "stage", tabIndex: 0, role: "group", "aria-label": inUnits(view.title), data: { view: view.name } },
    canvas,
  );
  stage.append(svg);
  const note = make("p", { className: "note" });
  /**
   * @param {string} text
   * @param {string} title
   * @param {() => void} action
   * @param {string} [name]
   */
  const button = (text, title, action, name) => {
    const found = make("button", { type: "button", title, className: "small", data: { save: name ?? "" } }, text);
    found.addEventListener("click", action);
    return found;
  };
  const large = button("⤢", `Enlarge, or back (key ${VIEWS.indexOf(view) + 1})`, () => enlarge(view.name));
  large.setAttribute("aria-label", `Enlarge ${inUnits(view.title)}`);
  const saves = ["svg", "png", "csv"].map((kind) =>
    button(
      kind.toUpperCase(),
      `Save ${kind === "csv" ? "its numbers" : "this view"} as ${kind.toUpperCase()}`,
      () => saveView(view.name, kind),
      kind,
    ),
  );
  const head = make(
    "div",
    { className: "panel-head" },
    make("h2", { title: inUnits(view.help) }, inUnits(view.title)),
    ...(view.controls?.() ?? []),
    make("span", { className: "saves" }, ...saves, large),
  );
  const element = make("section", { className: "panel", id: `panel-${view.name}` }, head, stage, note);
  element.style.order = String(VIEWS.indexOf(view));
  document.querySelectorAll("#panels .column")[view.column].append(element);
  const panel = {
    view,
    element,
    stage,
    canvas,
    svg,
    note,
    scene: null,
    width: 280,
    near: VIEWS.indexOf(view) < FIRST_SEEN,
  };
  panels.set(view.name, panel);
  sight.observe(element);
  stage.addEventListener("mousemove", (event) => pointedAt(panel, event));
  stage.addEventListener("mouseleave", () => pointedAway(panel));
  stage.addEventListener("click", (event) => {
    const is = pointedAt(panel, event)?.is;
    if (is) pick(is, event.shiftKey || event.ctrlKey || event.metaKey);
    // A finger does not point: what it touched says its numbers once all is drawn.
    if (isTouch(event)) void settled().then(() => pointedAt(panel, event));
  });
}

// Which panels can be seen, so that they are drawn first.
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) panelOf(target.id.replace("panel-", "")).near = isIntersecting;
});

/**
 * @param {string} name
 * @param {string} kind
 */
export function saveView(name, kind) {
  return saveScene(sceneOf(name), `jaxflow-${name}-${state.sentence + 1}.${kind}`, kind);
}

/** @param {string} name */
export function enlarge(name) {
  set({ view: state.view === name ? "" : name });
  if (state.view) panelOf(name).stage.focus();
}

// Widths are read from the page only when they may have changed: to ask for them makes the browser lay it out.
/** @type {{ view: string, room: number } | null} */
let measuredFor = null;

// Has the widths read anew, when they may have changed.
export function forgetWidths() {
  measuredFor = null;
}

export function watchWidths() {
  new ResizeObserver(() => {
    if (measuredFor === null || byId("panels").clientWidth === measuredFor.room) return;
    forgetWidths();
    void render();
  }).observe(byId("panels"));
}

/** @param {Panel[]} open */
function measurePanels(open) {
  if (measuredFor?.view === state.view) return;
  measuredFor = { view: state.view, room: byId("panels").clientWidth };
  for (const panel of open) panel.width = Math.max(280, panel.element.clientWidth - 22);
}

/**
 * Draws the panels that are in sight, and gives what does the rest: the list's place, and the other panels, one at a
 * time, for as long as `wanted` says.
 *
 * @param {Context} context
 * @param {() => boolean} wanted
 */
export function drawPanels(context, wanted) {
  for (const [name, panel] of panels) panel.element.hidden = Boolean(state.view) && state.view !== name;
  byId("panels").classList.toggle("one", Boolean(state.view));
  const open = [...panels.values()].filter((panel) => !panel.element.hidden);
  measurePanels(open);
  /** @type {Panel[]} */
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

// What stands over an enlarged picture and under it: its head and its note.
const AROUND = 96;
// An enlarged picture fills the window below the controls.
const tallNow = () =>
  state.view
    ? Math.max(320, window.innerHeight - (byId("panels").getBoundingClientRect().top + scrollY) - AROUND)
    : null;
/**
 * @param {Panel} panel
 * @param {Context} context
 */
const keyOf = (panel, context) =>
  [
    stateKey(panel.view.uses),
    panel.width,
    tallNow(),
    themeNow(),
    window.devicePixelRatio,
    panel.view.waits?.(context),
  ].join(" ");

/**
 * @param {Panel} panel
 * @param {Context} context
 */
function drawPanel(panel, context) {
  const key = keyOf(panel, context);
  if (panel.key === key) return;
  panel.key = key;
  highlight(panel, null);
  const scene = panel.view.draw(context, panel.width, tallNow());
  scene.title = `${inUnits(panel.view.title)}: ${context.names.join(", ")}; ${short(context.sentence.text, 60)}`;
  panel.scene = scene;
  panel.note.textContent = scene.note ?? "";
  drawScene(panel.canvas, scene);
}

/**
 * A view's picture as it is now, though it may not have come into sight yet.
 *
 * @param {string} name
 */
export function sceneOf(name) {
  const panel = panelOf(name);
  if (isDrawn() && !panel.element.hidden) drawPanel(panel, now());
  return /** @type {Scene} */ (panel.scene);
}

const nextTurn = () => new Promise((done) => setTimeout(done));

// When what is drawn can be seen.
const nextFrame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
