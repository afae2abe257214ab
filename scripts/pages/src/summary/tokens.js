// The table of tokens: searched, held to those that occur often enough, sorted by any column; and that of parts of speech.

import * as d3 from "../shared/d3.js";
import { byId, isolated, make } from "../shared/dom.js";
import { digits, lookOf } from "./charts.js";
import { data } from "./page.js";

const SHOWN = 100; // rows of the table

/**
 * @param {string} wanted
 * @param {number} least
 * @param {Sorting} sort
 * @param {number} layer
 * @returns {Counted[]}
 */
function chosenTokens(wanted, least, sort, layer) {
  /** @param {Counted} row */
  const key = (row) => (sort.by === "token" || sort.by === "count" ? row[sort.by] : row[sort.by][layer]);
  const hidden = new Set(byId("special").checked ? [] : data.special_tokens);
  const rows = data.tokens.filter(
    ({ token, count }) => count >= least && !hidden.has(token) && token.toLowerCase().includes(wanted.toLowerCase()),
  );
  return rows.sort((one, other) => (sort.rising ? 1 : -1) * d3.ascending(key(one), key(other)));
}

/**
 * @param {number} layer
 * @param {Sorting} sort
 * @param {(by: string) => void} resort
 */
export function renderTokens(layer, sort, resort) {
  const least = Math.max(1, Number(byId("least").value) || 1);
  const rows = chosenTokens(byId("search").value, least, sort, layer);
  const heads = [["token", "token"], ["count", "occurs"], ...data.methods.map((method) => [method, method])].map(
    ([by, name]) => {
      const mark = sort.by === by ? (sort.rising ? " ▲" : " ▼") : "";
      const head = make(
        "th",
        { scope: "col", className: by === "count" ? "number" : "" },
        make("button", { type: "button", onclick: () => resort(by) }, name + mark),
      );
      if (sort.by === by) head.setAttribute("aria-sort", sort.rising ? "ascending" : "descending");
      return head;
    },
  );
  byId("tokens").replaceChildren(make("thead", {}, make("tr", {}, ...heads)), valueRows(rows, "token", layer));
  const known =
    data.vocabulary > data.tokens.length
      ? `, of the ${data.tokens.length.toLocaleString("en")} most frequent of ${data.vocabulary.toLocaleString("en")}`
      : "";
  byId("count").textContent =
    `${Math.min(SHOWN, rows.length)} of ${rows.length.toLocaleString("en")} tokens${known}; summary.parquet has them all. A bar's full length is the column's largest value.`;
}

/** @param {number} layer */
export function renderTags(layer) {
  byId("tags-section").hidden = !data.parts_of_speech.length;
  if (!data.parts_of_speech.length) return;
  const heads = ["part of speech", "tokens", ...data.methods].map((name) =>
    make("th", { scope: "col", className: name === "tokens" ? "number" : "" }, name),
  );
  byId("tags").replaceChildren(
    make("thead", {}, make("tr", {}, ...heads)),
    valueRows(data.parts_of_speech, "tag", layer),
  );
  byId("tags-note").textContent =
    `A token's relevance at layer ${data.layers[layer]}, on average, by the part of speech of the word that it is of; in the ${data.tagged_examples.toLocaleString("en")} of ${data.examples.toLocaleString("en")} texts whose syntax is known.`;
}

/**
 * @param {Counted[]} rows
 * @param {string} name
 * @param {number} layer
 */
function valueRows(rows, name, layer) {
  const most = Object.fromEntries(
    data.methods.map((method) => [method, d3.max(rows, (row) => row[method][layer]) || 1]),
  );
  return make(
    "tbody",
    {},
    ...rows
      .slice(0, SHOWN)
      .map((row) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, isolated(row[name])),
          make("td", { className: "number" }, row.count.toLocaleString("en")),
          ...data.methods.map((method) => valueCell(row[method][layer], most[method], method)),
        ),
      ),
  );
}

/**
 * @param {number} value
 * @param {number} most
 * @param {string} method
 */
function valueCell(value, most, method) {
  const bar = make("span", { className: `bar ${lookOf(method).look}` });
  bar.style.width = `${((100 * Math.max(0, value)) / most) * 0.5}%`;
  return make("td", { className: "value" }, bar, digits(value));
}
