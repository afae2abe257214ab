// What stands above everything: models, settings, the legend.

import { byId, isolated, make } from "../shared/dom.js";
import { shown } from "../shared/text.js";
import { cycle } from "./actions.js";
import { DASH, forgetTheme } from "./colours.js";
import { copyLink } from "./keys.js";
import { shapeOf } from "./layers.js";
import { data, HEADS, inUnits, LAYERS, PAIR, SAME_SHAPE } from "./page.js";
import { SVG } from "./scene.js";
import { state } from "./state.js";

export function drawTheme() {
  forgetTheme();
  const root = document.documentElement;
  if (state.theme) root.dataset.theme = state.theme;
  else delete root.dataset.theme;
  byId("theme").textContent = `Theme: ${state.theme || "auto"}`;
}

export function setUpHeader() {
  const names = data.models.map((model, number) =>
    make("span", { className: PAIR ? `model ${"ab"[number]}` : "model" }, isolated(model.name)),
  );
  byId("models").append(...names);
  const { settings } = data;
  const about = [
    `mixing: ${shown(settings.mixing)}`,
    ...(SAME_SHAPE ? [`${LAYERS} layers × ${HEADS} heads`] : data.models.map(shapeOf)),
    ...(settings.layers ? [settings.layers] : []),
    `jaxflow ${data.versions.jaxflow}`,
  ];
  if (data.sentences.length < data.total)
    about.push(`the first ${data.sentences.length} of ${data.total} ${inUnits("sentences")}`);
  byId("about").textContent = about.join(" · ");
  byId("legend").hidden = !PAIR;
  document.title = `jaxflow: ${data.models.map(({ name }) => shown(name)).join(" and ")}`;
  byId("theme").addEventListener("click", cycle("theme", ["", "light", "dark"]));
  byId("link").addEventListener("click", copyLink);
  if (PAIR)
    for (const [kind, name] of /** @type {[keyof typeof DASH, string][]} */ ([
      ["a", `2 × in ${data.models[0].name}`],
      ["b", `2 × in ${data.models[1].name}`],
      ["shared", "alike in both"],
    ]))
      byId("legend").append(legendItem(kind, name));
}

/**
 * @param {keyof typeof DASH} kind
 * @param {string} name
 */
function legendItem(kind, name) {
  const line = document.createElementNS(SVG, "svg");
  line.setAttribute("class", `line ${kind}`);
  line.setAttribute("viewBox", "0 0 34 10");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", "M1,5H33");
  if (DASH[kind]) path.setAttribute("stroke-dasharray", DASH[kind]);
  line.append(path);
  return make("span", { className: "legend-item" }, line, isolated(name));
}
