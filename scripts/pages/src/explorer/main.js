// Puts the page together, and draws it again when something was chosen.

import { csvText } from "../shared/csv.js";
import { byId } from "../shared/dom.js";
import { darkQuery } from "../shared/theme.js";
import { speakOf } from "../shared/units.js";
import { writeHashSoon } from "./address.js";
import { drawBy, now, render, set, settled, show, turnNow } from "./app.js";
import { colours } from "./colours.js";
import { contextOf } from "./context.js";
import { drawControls, setUpControls } from "./controls.js";
import { pngCanvas, svgText } from "./export.js";
import { stepFound } from "./find.js";
import { listen, tell } from "./frame.js";
import { drawTheme, setUpHeader } from "./header.js";
import { setUpHelp } from "./keys.js";
import { drawList, listed, SORTS } from "./list.js";
import { load } from "./load.js";
import { trust } from "./numbers.js";
import { data, IMAGES, inUnits } from "./page.js";
import { addPanel, drawPanels, forgetWidths, sceneOf, watchWidths } from "./panels.js";
import { FIELDS, fit, fromHash, state, toHash } from "./state.js";
import { drawStrip, setUpStrip } from "./strip.js";
import { hideTip, scrolledAway } from "./tip.js";
import { ARC_FIELDS, stateKey } from "./uses.js";
import { VIEWS } from "./views/index.js";
import { chooser } from "./widgets.js";

/** @type {Sentence | null} */
let current = null; // the sentence whose numbers are unpacked
let contextKey = ""; // what it was made for
let took = 0;

async function draw() {
  const start = performance.now();
  const wanted = state.sentence;
  const sentence = current?.index === wanted ? current : await load(wanted);
  // Another sentence may have been chosen meanwhile; its own drawing is due.
  if (wanted !== state.sentence) return;
  if (current !== sentence) byId("status").textContent = "";
  current = sentence;
  trust(sentence.kept);
  hideTip();
  fit(sentence);
  drawTheme();
  const asked = stateKey(ARC_FIELDS);
  const known = now();
  const context = known && asked === contextKey ? known : contextOf(sentence);
  contextKey = asked;
  show(context);
  drawList();
  drawControls(context);
  drawStrip(context);
  const mine = turnNow();
  const rest = drawPanels(context, () => turnNow() === mine);
  writeHashSoon();
  tell(context);
  took = performance.now() - start;
  return rest;
}

function setUpList() {
  const sort = chooser(
    "sort",
    SORTS.map(([name, words]) => [name, words]),
    "Order of the sentences",
  );
  byId("sorting").append(sort);
  byId("search").addEventListener("input", () => {
    byId("found").textContent = "";
    set({ search: byId("search").value });
  });
  byId("next-found").addEventListener("click", () => stepFound(1));
  byId("unfilter").addEventListener("click", () => {
    byId("search").value = "";
    set({ cell: "", search: "" });
  });
}

speakOf([IMAGES ? "images" : "texts"], inUnits);
drawBy(draw);
setUpHeader();
document.querySelector(".skip")?.addEventListener("click", (event) => {
  // The address holds what is chosen, so no anchor may replace it.
  event.preventDefault();
  byId("strip").tabIndex = -1;
  byId("strip").focus();
});
setUpControls();
setUpList();
setUpStrip();
VIEWS.forEach(addPanel);
watchWidths();
setUpHelp();
Object.assign(state, fromHash(location.hash));
byId("search").value = state.search;
window.addEventListener("hashchange", () => {
  if (location.hash === `#${toHash()}`) return;
  set(fromHash(location.hash));
  byId("search").value = state.search;
});
window.addEventListener("resize", () => {
  forgetWidths();
  void render();
});
document.addEventListener("scroll", scrolledAway, { passive: true, capture: true });
darkQuery.addEventListener("change", render);
listen(set);
void render();
// For tests, and for whoever wants the numbers in the browser's console.
/** @type {any} */ (window).jaxflow = {
  data,
  state,
  first: Object.fromEntries(Object.entries(FIELDS).map(([name, [, first]]) => [name, first])),
  colours,
  set,
  link: toHash,
  listed,
  settled,
  context: now,
  scene: sceneOf,
  csv: (/** @type {string} */ name) => csvText(sceneOf(name).table()),
  csvText,
  svg: (/** @type {string} */ name) => svgText(sceneOf(name)),
  png: (/** @type {string} */ name) => pngCanvas(sceneOf(name)).toDataURL("image/png"),
  took: () => took,
};
