// What the page shows of the summary, and what can be chosen.

import * as d3 from "../shared/d3.js";
import { byId, isolated, make, turnTheme } from "../shared/dom.js";
import { speakOf } from "../shared/units.js";
import { chart, legend } from "./charts.js";
import { data, inUnits } from "./page.js";
import { renderTags, renderTokens } from "./tokens.js";

/** @type {Record<string, [string, string, Partial<Chart>]>} */
const TITLES = {
  entropy: ["Entropy", "nats; high where relevance is spread evenly", {}],
  effective_tokens: ["Tokens that count", "among how many tokens relevance is shared out, in effect", {}],
  effective_rank: ["Effective rank", "how many of the asked positions' rows differ, in effect", {}],
  tied_tokens: ["Tied tokens", "share of words whose value another word has, too", { high: 1 }],
  saturated: [
    "Flows saturated",
    "share of flows that are no more than a trivial cut: they tell no tokens apart",
    { high: 1 },
  ],
  certified: ["Flows certified", "share of flows that are proven", { high: 1 }],
};

const METHOD_NAMES = Object.fromEntries(data.methods.map((method) => [method, method]));
const SEEN = 5; // a position that fewer texts reach says little
const state = { layer: data.layers.length - 1, sort: { by: data.methods[data.methods.length - 1], rising: false } };

function renderMeasures() {
  const charts = Object.entries(TITLES).flatMap(([name, [title, note, scale]]) => {
    const lines = data.methods
      .filter((method) => name in data.measures[method])
      .map((method) => ({ kind: method, name: method, values: data.measures[method][name] }));
    return lines.length ? [chart({ title, note: inUnits(note), x: data.layers, xName: "layer", lines, ...scale })] : [];
  });
  byId("measures").replaceChildren(...charts);
  byId("methods-legend").replaceChildren(...legend(METHOD_NAMES));
}

function renderAgreement() {
  byId("agreement-section").hidden = !data.agreement.length;
  if (!data.agreement.length) return;
  const lines = data.agreement.map(({ methods, spearman }) => ({
    kind: methods.join("-"),
    name: methods.join(" and "),
    values: spearman,
  }));
  const fewest = Math.floor(d3.min(data.agreement, ({ examples }) => d3.min(examples) ?? 0) ?? 0).toLocaleString("en");
  const note = inUnits(`over words; defined for ${fewest} of ${data.examples.toLocaleString("en")} texts or more`);
  byId("agreement").replaceChildren(
    chart({ title: "Spearman's rank correlation", note, x: data.layers, xName: "layer", lines, high: 1 }),
  );
  byId("pairs-legend").replaceChildren(...legend(Object.fromEntries(lines.map(({ kind, name }) => [kind, name]))));
}

function renderPositions() {
  const { counts } = data.positions;
  const least = Math.min(SEEN, d3.max(counts) ?? 0);
  const reached = d3.range(counts.filter((count) => count >= least).length);
  const charts = data.methods.map((method) => {
    const values = reached.map((place) => data.positions[method][state.layer][place]);
    return chart({
      title: `Mean ${method} at layer ${data.layers[state.layer]}`,
      note: inUnits(`by position; of those that ${least} texts or more reach`),
      x: reached,
      xName: "position",
      lines: [{ kind: method, name: method, values }],
      logarithms: true,
    });
  });
  byId("positions").replaceChildren(...charts);
}

function renderDisagreements() {
  const found = data.disagreements.filter(({ examples }) => examples.length);
  byId("disagreements-section").hidden = !found.length;
  byId("disagreements").replaceChildren(
    ...found.map(({ methods, examples }, number) => {
      const head = ["rank correlation", "row", "text"].map((name) =>
        make("th", { scope: "col", className: name === "text" ? "" : "number" }, inUnits(name)),
      );
      const rows = examples.map(({ spearman, id, text }) =>
        make(
          "tr",
          {},
          make("td", { className: "number" }, spearman.toFixed(3)),
          make("td", { className: "number" }, String(id)),
          make("td", { className: "text" }, isolated(text)),
        ),
      );
      const title = `${methods.join(" and ")}, at layer ${data.layers[data.layers.length - 1]}`;
      const table = make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
      table.setAttribute("aria-label", title);
      // One open list says what they are; many would be most of the page.
      return make(
        "details",
        { className: "disagree", open: number === 0 },
        make("summary", {}, `${title} (${inUnits(examples.length === 1 ? "1 text" : `${examples.length} texts`)})`),
        make("div", { className: "wide" }, table),
      );
    }),
  );
}

function renderChosen() {
  byId("layer").value = String(state.layer);
  byId("layer-name").textContent = String(data.layers[state.layer]);
  renderPositions();
  renderTags(state.layer);
  renderTokens(state.layer, state.sort, resort);
}

/** @param {string} by */
function resort(by) {
  state.sort = { by, rising: state.sort.by === by ? !state.sort.rising : by === "token" };
  renderTokens(state.layer, state.sort, resort);
  byId("tokens").querySelector("th[aria-sort] button").focus();
}

speakOf([data.images ? "images" : "texts"], inUnits);
document.title = `jaxflow summary: ${data.model}`;
byId("model").textContent = data.model;
byId("about").append(
  inUnits(`${data.examples.toLocaleString("en")} texts of `),
  isolated(data.input),
  " · mixing: ",
  isolated(data.mixing),
  data.complete ? "" : " · the sweep was not finished",
);
byId("layer").max = String(data.layers.length - 1);
byId("controls").hidden = data.layers.length < 2;
byId("layer").oninput = () => {
  state.layer = Number(byId("layer").value);
  renderChosen();
};
byId("search").oninput =
  byId("least").oninput =
  byId("special").oninput =
    () => renderTokens(state.layer, state.sort, resort);
byId("controls").onsubmit = byId("filter").onsubmit = (/** @type {Event} */ event) => event.preventDefault();
byId("theme").onclick = turnTheme;
renderMeasures();
renderAgreement();
renderDisagreements();
renderChosen();
