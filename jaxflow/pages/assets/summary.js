// Made by scripts/pages/build.mjs from scripts/pages/src/summary: change those.
"use strict";
(() => {
  var __create = Object.create;
  var __defProp = Object.defineProperty;
  var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
  var __getOwnPropNames = Object.getOwnPropertyNames;
  var __getProtoOf = Object.getPrototypeOf;
  var __hasOwnProp = Object.prototype.hasOwnProperty;
  var __commonJS = (cb, mod) => function __require() {
    try {
      return mod || (0, cb[__getOwnPropNames(cb)[0]])((mod = { exports: {} }).exports, mod), mod.exports;
    } catch (e) {
      throw mod = 0, e;
    }
  };
  var __copyProps = (to, from, except, desc) => {
    if (from && typeof from === "object" || typeof from === "function") {
      for (let key of __getOwnPropNames(from))
        if (!__hasOwnProp.call(to, key) && key !== except)
          __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
    }
    return to;
  };
  var __toESM = (mod, isNodeMode, target) => (target = mod != null ? __create(__getProtoOf(mod)) : {}, __copyProps(
    // If the importer is in node compatibility mode or this is not an ESM
    // file that has been converted to a CommonJS file using a Babel-
    // compatible transform (i.e. "__esModule" has not been set), then set
    // "default" to the CommonJS "module.exports" for node compatibility.
    isNodeMode || !mod || !mod.__esModule ? __defProp(target, "default", { value: mod, enumerable: true }) : target,
    mod
  ));

  // global:d3
  var require_d3 = __commonJS({
    "global:d3"(exports, module) {
      module.exports = globalThis.d3;
    }
  });

  // src/summary/main.js
  var d33 = __toESM(require_d3(), 1);

  // src/shared/scale.js
  var HUE = 255 * Math.PI / 180;
  var AGAINST = 60 * Math.PI / 180;

  // src/shared/text.js
  var HIDDEN = (
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/u
  );
  var named = (character) => `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;

  // src/shared/theme.js
  var darkQuery = window.matchMedia("(prefers-color-scheme: dark)");
  function isDark() {
    const theme = document.documentElement.dataset.theme;
    return theme ? theme === "dark" : darkQuery.matches;
  }

  // src/shared/dom.js
  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name === "data") Object.assign(element.dataset, value);
      else if (name.startsWith("aria") || name === "role" || name === "scope") element.setAttribute(name, value);
      else Reflect.set(element, name, value);
    }
    element.append(...children);
    return element;
  }
  var byId = (id) => document.getElementById(id);
  function textNodes(text) {
    const nodes = [];
    let plain = "";
    for (const character of text.replace(/[\t\r\n]+/g, " ")) {
      if (!HIDDEN.test(character)) {
        plain += character;
        continue;
      }
      if (plain) nodes.push(document.createTextNode(plain));
      plain = "";
      nodes.push(make("span", { className: "hidden-character", title: "a character without a shape" }, named(character)));
    }
    if (plain) nodes.push(document.createTextNode(plain));
    return nodes;
  }
  var isolated = (text, className = "") => make("bdi", { className }, ...textNodes(text));
  function turnTheme() {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    byId("theme").textContent = `Theme: ${theme}`;
  }

  // src/shared/units.js
  var OF_IMAGES = {
    word: "patch",
    words: "patches",
    sentence: "image",
    sentences: "images",
    text: "image",
    texts: "images"
  };
  var unitsOf = (images) => images ? forImages : (text) => text;
  var forImages = (text) => text.replace(/\b(an? )?(words?|sentences?|texts?)\b/gi, (_, article, name) => {
    const said = OF_IMAGES[name.toLowerCase()];
    const written = /^[A-Z]/.test(name) ? said[0].toUpperCase() + said.slice(1) : said;
    return `${article ? `${article[0]}${said.startsWith("i") ? "n" : ""} ` : ""}${written}`;
  });
  var SAID = ["title", "placeholder", "aria-label"];
  function speakOf(kinds, inUnits2) {
    const roots = [...document.body.children].filter((root) => !root.matches("script, noscript"));
    for (const root of roots) {
      for (
        const element of
        /** @type {Iterable<HTMLElement>} */
        [root, ...root.querySelectorAll("*")]
      ) {
        const { only, images } = element.dataset;
        if (only) element.hidden = !kinds.includes(only);
        for (const name of SAID) {
          const text = element.getAttribute(name);
          if (text !== null) element.setAttribute(name, inUnits2(text));
        }
        if (images && kinds.includes("images")) element.setAttribute("placeholder", images);
      }
      const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        const node = (
          /** @type {Text} */
          texts.currentNode
        );
        node.data = inUnits2(node.data);
      }
    }
  }

  // src/summary/charts.js
  var d3 = __toESM(require_d3(), 1);

  // src/shared/format.js
  var import_d3 = __toESM(require_d3(), 1);
  var { format } = (0, import_d3.formatDefaultLocale)({
    decimal: ".",
    thousands: ",",
    grouping: [3],
    currency: ["$", ""],
    minus: "-"
  });

  // src/summary/charts.js
  var KINDS = {
    raw: { dash: "2 3", symbol: d3.symbolDiamond, look: "raw" },
    rollout: { dash: "7 3", symbol: d3.symbolCircle, look: "rollout" },
    flow: { dash: null, symbol: d3.symbolSquare, look: "flow" },
    "raw-rollout": { dash: "2 3", symbol: d3.symbolDiamond, look: "raw-rollout" },
    "raw-flow": { dash: "7 3", symbol: d3.symbolTriangle, look: "raw-flow" },
    "rollout-flow": { dash: null, symbol: d3.symbolCircle, look: "rollout-flow" }
  };
  var SYMBOLS = [d3.symbolStar, d3.symbolTriangle, d3.symbolCross, d3.symbolWye];
  var DASHES = ["9 3 2 3", "4 4", null];
  var others = /* @__PURE__ */ new Map();
  function lookOf(kind) {
    const known = KINDS[kind] ?? others.get(kind);
    if (known) return known;
    const number = others.size;
    const made = {
      dash: DASHES[number % DASHES.length],
      symbol: SYMBOLS[number % SYMBOLS.length],
      look: `other-${number % SYMBOLS.length}`
    };
    others.set(kind, made);
    return made;
  }
  var WIDTH = 340;
  var HEIGHT = 190;
  var LEFT = 46;
  var BOTTOM = 34;
  var TOP = 10;
  var RIGHT = 12;
  var MARKED = 40;
  var digits = (value) => value === 0 ? "0" : Math.abs(value) >= 1e-3 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
  function heights(known, high, logarithms) {
    const range2 = [HEIGHT - BOTTOM, TOP];
    const least = d3.min(known) ?? 0;
    const most = high ?? (d3.max(known) || 1);
    if (logarithms && least > 0 && most > 5 * (d3.median(known) ?? 0))
      return d3.scaleLog().domain([least, most]).range(range2).nice();
    return d3.scaleLinear().domain([Math.min(0, least), most]).nice(4).range(range2);
  }
  function chart({ title, note, x, xName, lines, high = null, logarithms = false }) {
    const known = lines.flatMap(({ values }) => values.filter((value) => value !== null));
    const across = d3.scaleLinear().domain(x.length > 1 ? [Math.min(...x), Math.max(...x)] : [x[0] - 1, x[0] + 1]).range([LEFT, WIDTH - RIGHT]);
    const up = heights(known, high, logarithms);
    const [bottom] = up.domain();
    const log = "base" in up;
    const svg = d3.create("svg").attr("viewBox", `0 0 ${WIDTH} ${HEIGHT}`).attr("role", "img").attr("aria-label", spoken(title, x, xName, lines));
    const ticks = x.length <= 12 ? x : across.ticks(8).filter(Number.isInteger);
    svg.append("g").attr("transform", `translate(0,${HEIGHT - BOTTOM})`).call(d3.axisBottom(across).tickValues(ticks).tickFormat(String));
    svg.append("g").attr("transform", `translate(${LEFT},0)`).call(log ? d3.axisLeft(up).ticks(4, "~g") : d3.axisLeft(up).ticks(4));
    if (bottom < 0)
      svg.append("path").attr("class", "zero").attr("d", `M${LEFT},${up(0)}H${WIDTH - RIGHT}`);
    svg.append("text").attr("x", (LEFT + WIDTH - RIGHT) / 2).attr("y", HEIGHT - 2).attr("text-anchor", "middle").text(xName);
    for (const { kind, name, values } of lines) drawLine(svg, { kind, name, x, xName, values, across, up });
    return make(
      "figure",
      { data: { chart: title } },
      make("figcaption", {}, title, make("small", {}, note + (log ? "; logarithmic" : ""))),
      /** @type {SVGSVGElement} */
      svg.node()
    );
  }
  function drawLine(svg, { kind, name, x, xName, values, across, up }) {
    const { dash, symbol: symbol2, look } = lookOf(kind);
    const group = svg.append("g").attr("class", look);
    const path = (
      /** @type {import("d3").Line<number | null>} */
      d3.line().defined((value) => value !== null).x((_, index) => across(x[index])).y((value) => up(value ?? 0))
    );
    group.append("path").attr("class", "line").attr("stroke-dasharray", dash).attr("d", path(values));
    values.forEach((value, index) => {
      const alone = (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null;
      if (value === null || values.length > MARKED && !alone) return;
      const mark = group.append("path").attr("class", "mark").attr("d", d3.symbol().type(symbol2).size(44)());
      mark.attr("transform", `translate(${across(x[index])},${up(value)})`).append("title").text(`${name}, ${xName} ${x[index]}: ${digits(value)}`);
    });
  }
  function spoken(title, x, xName, lines) {
    if (x.length > MARKED) return `${title} by ${xName}`;
    const said = lines.map(
      ({ name, values }) => `${name}: ${values.map((value) => value === null ? "not defined" : digits(value)).join(", ")}`
    );
    return `${title}, by ${xName} from ${x[0]} to ${x[x.length - 1]}. ${said.join(". ")}`;
  }
  function legend(kinds) {
    return Object.entries(kinds).map(([kind, name]) => {
      const { dash, symbol: symbol2, look } = lookOf(kind);
      const svg = d3.create("svg").attr("viewBox", "0 0 34 12").attr("width", 34).attr("height", 12).attr("aria-hidden", "true");
      const group = svg.append("g").attr("class", look);
      group.append("path").attr("class", "line").attr("stroke-dasharray", dash).attr("d", "M0,6H34");
      group.append("path").attr("class", "mark").attr("d", d3.symbol().type(symbol2).size(44)()).attr("transform", "translate(17,6)");
      const node = (
        /** @type {SVGSVGElement} */
        svg.node()
      );
      node.style.width = "34px";
      return make("span", {}, node, name);
    });
  }

  // src/summary/page.js
  var data = JSON.parse(byId("data").textContent);
  var inUnits = unitsOf(data.images);

  // src/summary/tokens.js
  var d32 = __toESM(require_d3(), 1);
  var SHOWN = 100;
  function chosenTokens(wanted, least, sort, layer) {
    const key = (row) => sort.by === "token" || sort.by === "count" ? row[sort.by] : row[sort.by][layer];
    const hidden = new Set(byId("special").checked ? [] : data.special_tokens);
    const rows = data.tokens.filter(
      ({ token, count }) => count >= least && !hidden.has(token) && token.toLowerCase().includes(wanted.toLowerCase())
    );
    return rows.sort((one, other) => (sort.rising ? 1 : -1) * d32.ascending(key(one), key(other)));
  }
  function renderTokens(layer, sort, resort2) {
    const least = Math.max(1, Number(byId("least").value) || 1);
    const rows = chosenTokens(byId("search").value, least, sort, layer);
    const heads = [["token", "token"], ["count", "occurs"], ...data.methods.map((method) => [method, method])].map(
      ([by, name]) => {
        const mark = sort.by === by ? sort.rising ? " ▲" : " ▼" : "";
        const head = make(
          "th",
          { scope: "col", className: by === "count" ? "number" : "" },
          make("button", { type: "button", onclick: () => resort2(by) }, name + mark)
        );
        if (sort.by === by) head.setAttribute("aria-sort", sort.rising ? "ascending" : "descending");
        return head;
      }
    );
    byId("tokens").replaceChildren(make("thead", {}, make("tr", {}, ...heads)), valueRows(rows, "token", layer));
    const known = data.vocabulary > data.tokens.length ? `, of the ${data.tokens.length.toLocaleString("en")} most frequent of ${data.vocabulary.toLocaleString("en")}` : "";
    byId("count").textContent = `${Math.min(SHOWN, rows.length)} of ${rows.length.toLocaleString("en")} tokens${known}; summary.parquet has them all. A bar's full length is the column's largest value.`;
  }
  function renderTags(layer) {
    byId("tags-section").hidden = !data.parts_of_speech.length;
    if (!data.parts_of_speech.length) return;
    const heads = ["part of speech", "tokens", ...data.methods].map(
      (name) => make("th", { scope: "col", className: name === "tokens" ? "number" : "" }, name)
    );
    byId("tags").replaceChildren(
      make("thead", {}, make("tr", {}, ...heads)),
      valueRows(data.parts_of_speech, "tag", layer)
    );
    byId("tags-note").textContent = `A token's relevance at layer ${data.layers[layer]}, on average, by the part of speech of the word that it is of; in the ${data.tagged_examples.toLocaleString("en")} of ${data.examples.toLocaleString("en")} texts whose syntax is known.`;
  }
  function valueRows(rows, name, layer) {
    const most = Object.fromEntries(
      data.methods.map((method) => [method, d32.max(rows, (row) => row[method][layer]) || 1])
    );
    return make(
      "tbody",
      {},
      ...rows.slice(0, SHOWN).map(
        (row) => make(
          "tr",
          {},
          make("th", { scope: "row" }, isolated(row[name])),
          make("td", { className: "number" }, row.count.toLocaleString("en")),
          ...data.methods.map((method) => valueCell(row[method][layer], most[method], method))
        )
      )
    );
  }
  function valueCell(value, most, method) {
    const bar = make("span", { className: `bar ${lookOf(method).look}` });
    bar.style.width = `${100 * Math.max(0, value) / most * 0.5}%`;
    return make("td", { className: "value" }, bar, digits(value));
  }

  // src/summary/main.js
  var TITLES = {
    entropy: ["Entropy", "nats; high where relevance is spread evenly", {}],
    effective_tokens: ["Tokens that count", "among how many tokens relevance is shared out, in effect", {}],
    effective_rank: ["Effective rank", "how many of the asked positions' rows differ, in effect", {}],
    tied_tokens: ["Tied tokens", "share of words whose value another word has, too", { high: 1 }],
    saturated: [
      "Flows saturated",
      "share of flows that are no more than a trivial cut: they tell no tokens apart",
      { high: 1 }
    ],
    certified: ["Flows certified", "share of flows that are proven", { high: 1 }]
  };
  var METHOD_NAMES = Object.fromEntries(data.methods.map((method) => [method, method]));
  var SEEN = 5;
  var state = { layer: data.layers.length - 1, sort: { by: data.methods[data.methods.length - 1], rising: false } };
  function renderMeasures() {
    const charts = Object.entries(TITLES).flatMap(([name, [title, note, scale]]) => {
      const lines = data.methods.filter((method) => name in data.measures[method]).map((method) => ({ kind: method, name: method, values: data.measures[method][name] }));
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
      values: spearman
    }));
    const fewest = Math.floor(d33.min(data.agreement, ({ examples }) => d33.min(examples) ?? 0) ?? 0).toLocaleString("en");
    const note = inUnits(`over words; defined for ${fewest} of ${data.examples.toLocaleString("en")} texts or more`);
    byId("agreement").replaceChildren(
      chart({ title: "Spearman's rank correlation", note, x: data.layers, xName: "layer", lines, high: 1 })
    );
    byId("pairs-legend").replaceChildren(...legend(Object.fromEntries(lines.map(({ kind, name }) => [kind, name]))));
  }
  function renderPositions() {
    const { counts } = data.positions;
    const least = Math.min(SEEN, d33.max(counts) ?? 0);
    const reached = d33.range(counts.filter((count) => count >= least).length);
    const charts = data.methods.map((method) => {
      const values = reached.map((place) => data.positions[method][state.layer][place]);
      return chart({
        title: `Mean ${method} at layer ${data.layers[state.layer]}`,
        note: inUnits(`by position; of those that ${least} texts or more reach`),
        x: reached,
        xName: "position",
        lines: [{ kind: method, name: method, values }],
        logarithms: true
      });
    });
    byId("positions").replaceChildren(...charts);
  }
  function renderDisagreements() {
    const found = data.disagreements.filter(({ examples }) => examples.length);
    byId("disagreements-section").hidden = !found.length;
    byId("disagreements").replaceChildren(
      ...found.map(({ methods, examples }, number) => {
        const head = ["rank correlation", "row", "text"].map(
          (name) => make("th", { scope: "col", className: name === "text" ? "" : "number" }, inUnits(name))
        );
        const rows = examples.map(
          ({ spearman, id, text }) => make(
            "tr",
            {},
            make("td", { className: "number" }, spearman.toFixed(3)),
            make("td", { className: "number" }, String(id)),
            make("td", { className: "text" }, isolated(text))
          )
        );
        const title = `${methods.join(" and ")}, at layer ${data.layers[data.layers.length - 1]}`;
        const table = make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
        table.setAttribute("aria-label", title);
        return make(
          "details",
          { className: "disagree", open: number === 0 },
          make("summary", {}, `${title} (${inUnits(examples.length === 1 ? "1 text" : `${examples.length} texts`)})`),
          make("div", { className: "wide" }, table)
        );
      })
    );
  }
  function renderChosen() {
    byId("layer").value = String(state.layer);
    byId("layer-name").textContent = String(data.layers[state.layer]);
    renderPositions();
    renderTags(state.layer);
    renderTokens(state.layer, state.sort, resort);
  }
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
    data.complete ? "" : " · the sweep was not finished"
  );
  byId("layer").max = String(data.layers.length - 1);
  byId("controls").hidden = data.layers.length < 2;
  byId("layer").oninput = () => {
    state.layer = Number(byId("layer").value);
    renderChosen();
  };
  byId("search").oninput = byId("least").oninput = byId("special").oninput = () => renderTokens(state.layer, state.sort, resort);
  byId("controls").onsubmit = byId("filter").onsubmit = (event) => event.preventDefault();
  byId("theme").onclick = turnTheme;
  renderMeasures();
  renderAgreement();
  renderDisagreements();
  renderChosen();
})();
