// Made by scripts/pages/build.mjs from scripts/pages/src/explorer: change those.
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

  // src/shared/csv.js
  var NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
  var FORMULA = /^\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
  var csvText = (table) => table.map((row) => `${row.map(csvCell).join(",")}
`).join("");
  function csvCell(cell) {
    if (cell === null || cell === void 0 || Number.isNaN(cell)) return "";
    if (typeof cell === "number") return String(cell);
    const safe = !NUMBER.test(cell) && FORMULA.test(cell) ? `'${cell}` : cell;
    return /[",;|\t\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }

  // src/shared/scale.js
  var HUE = 255 * Math.PI / 180;
  var AGAINST = 60 * Math.PI / 180;
  function toSrgb(lightness, chroma, hue) {
    const a = chroma * Math.cos(hue);
    const b = chroma * Math.sin(hue);
    const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
    const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
    const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
    return [
      4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
      -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
      -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s
    ].map((linear2) => Math.min(1, Math.max(0, linear2)));
  }
  var gamma = (linear2) => linear2 <= 31308e-7 ? 12.92 * linear2 : 1.055 * linear2 ** (1 / 2.4) - 0.055;
  var STEPS = 256;
  var shades = {};
  function shade(share, dark) {
    const step = Math.round(STEPS * Math.min(1, Math.abs(share)));
    const hue = share < 0 ? AGAINST : HUE;
    const made = shades[`${dark} ${hue}`] ??= [];
    return made[step] ??= newShade(step / STEPS, dark, hue);
  }
  function newShade(t, dark, hue) {
    const [lightness, chroma] = dark ? [0.25 + 0.6 * t, 0.015 + 0.095 * t] : [0.975 - 0.6 * t, 5e-3 + 0.135 * t];
    const linear2 = toSrgb(lightness, chroma, hue);
    const [red, green, blue] = linear2.map((part) => Math.round(255 * gamma(part)));
    const luminance = 0.2126 * linear2[0] + 0.7152 * linear2[1] + 0.0722 * linear2[2];
    return { background: `rgb(${red}, ${green}, ${blue})`, color: luminance > 0.179 ? "#000" : "#fff" };
  }
  var ALIKE = 0.05;
  function alike(row, isWord) {
    const words2 = Array.from(row).filter((_, token) => isWord(token));
    const top = Math.max(0, ...words2);
    const spread = words2.length < 2 || top <= 0 ? 1 : 1 - Math.min(...words2) / top;
    return spread > 1e-6 && spread <= ALIKE ? `all words lie within ${Number((100 * spread).toPrecision(1))} % here` : "";
  }
  function nothing(row, isWord) {
    const words2 = Array.from(row).filter((_, token) => isWord(token));
    return words2.length && words2.every((value) => value === 0) ? "nothing flows here from any word" : "";
  }

  // src/shared/text.js
  var HIDDEN = (
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/u
  );
  var named = (character) => `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
  var shown = (text) => Array.from(
    text.replace(/[\t\r\n]+/g, " "),
    (character) => HIDDEN.test(character) ? `⟨${named(character)}⟩` : character
  ).join("");
  var short = (text, most = 14) => Array.from(text).length > most ? `${Array.from(text).slice(0, most - 1).join("")}…` : text;

  // src/shared/theme.js
  var darkQuery = window.matchMedia("(prefers-color-scheme: dark)");
  function isDark() {
    const theme2 = document.documentElement.dataset.theme;
    return theme2 ? theme2 === "dark" : darkQuery.matches;
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
  var penOf = (canvas, settings) => (
    /** @type {CanvasRenderingContext2D} */
    canvas.getContext("2d", settings)
  );
  var byId = (id) => document.getElementById(id);
  function textNodes(text) {
    const nodes = [];
    let plain2 = "";
    for (const character of text.replace(/[\t\r\n]+/g, " ")) {
      if (!HIDDEN.test(character)) {
        plain2 += character;
        continue;
      }
      if (plain2) nodes.push(document.createTextNode(plain2));
      plain2 = "";
      nodes.push(make("span", { className: "hidden-character", title: "a character without a shape" }, named(character)));
    }
    if (plain2) nodes.push(document.createTextNode(plain2));
    return nodes;
  }
  var isolated = (text, className = "") => make("bdi", { className }, ...textNodes(text));

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
    const said2 = OF_IMAGES[name.toLowerCase()];
    const written = /^[A-Z]/.test(name) ? said2[0].toUpperCase() + said2.slice(1) : said2;
    return `${article ? `${article[0]}${said2.startsWith("i") ? "n" : ""} ` : ""}${written}`;
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

  // src/explorer/page.js
  var data = JSON.parse(byId("data").textContent);
  var PAIR = data.models.length === 2;
  var IMAGES = Boolean(data.sentences[0]?.sides[0].picture);
  var inUnits = unitsOf(IMAGES);
  var LAYERS = Math.max(...data.models.map(({ layers }) => layers));
  var HEADS = Math.max(...data.models.map(({ heads }) => heads));
  var SAME_DEPTH = data.models.every(({ layers }) => layers === LAYERS);
  var SAME_SHAPE = SAME_DEPTH && data.models.every(({ heads }) => heads === HEADS);

  // src/explorer/state.js
  var within = (low, high) => (text) => /^\d+$/.test(text) && Number(text) >= low && Number(text) <= high ? Number(text) : void 0;
  var among = (...names) => (text) => names.includes(text) ? text : void 0;
  var anything = (text) => text;
  var MODES = PAIR ? ["both", "diff", "a", "b"] : ["a"];
  var FIELDS = {
    sentence: ["s", 0, within(0, data.sentences.length - 1)],
    // A decoder's last position: `fit` finds it.
    position: ["p", data.last ? Infinity : 0, within(0, 1e5)],
    word: ["w", null, within(0, 1e5)],
    layer: ["l", data.first.layer ?? LAYERS, within(1, LAYERS)],
    from: ["from", data.first.from ?? 1, within(1, LAYERS)],
    to: ["to", data.first.to ?? LAYERS, within(1, LAYERS)],
    head: ["h", data.first.head ?? 0, within(0, HEADS)],
    // 0 is all that are chosen, fused
    heads: ["heads", data.first.heads ?? "", (text) => /^(\d+\.\d+_?)*$/.test(text) ? text : void 0],
    models: ["m", MODES[0], among(...MODES)],
    strength: ["by", "share", among("share", "attention", "flow")],
    trace: ["trace", "back", among("back", "forward", "both", "all")],
    threshold: [
      "over",
      null,
      (text) => Number(text) >= 0 && Number(text) <= 1 && text !== "" ? Number(text) : void 0
    ],
    method: [
      "method",
      data.lead ?? (data.methods.includes("rollout") ? "rollout" : data.methods[0]),
      among(...data.methods)
    ],
    special: ["special", "", among("", "1")],
    sort: ["sort", "order", among("order", "change", "moved", "loss", "confidence", "prediction")],
    search: ["q", "", anything],
    cell: ["cell", "", anything],
    theme: ["theme", "", among("", "light", "dark")]
  };
  var state = (
    /** @type {State} */
    {}
  );
  var values = (
    /** @type {Record<string, unknown>} */
    /** @type {unknown} */
    state
  );
  function addFields(fields) {
    for (const [name, field2] of Object.entries(fields)) {
      FIELDS[name] = field2;
      values[name] = field2[1];
    }
  }
  addFields(FIELDS);
  function choose(changes) {
    const moves = changes.sentence !== void 0 && changes.sentence !== state.sentence && !("position" in changes);
    Object.assign(state, changes);
    if (data.last && moves) state.position = Infinity;
    if (!("word" in changes) || "trace" in changes) return;
    if (state.word !== null && state.trace === "back") state.trace = "both";
    else if (state.word === null && state.trace === "both") state.trace = "back";
  }
  function toHash() {
    const parts = new URLSearchParams();
    for (const [name, [short2, first]] of Object.entries(FIELDS)) {
      if (values[name] !== first && values[name] !== null) parts.set(short2, String(values[name]));
    }
    return parts.toString();
  }
  function fromHash(hash) {
    const parts = new URLSearchParams(hash.replace(/^#/, ""));
    const found = {};
    for (const [name, [short2, first, read]] of Object.entries(FIELDS)) {
      found[name] = parts.has(short2) ? read(parts.get(short2) ?? "") ?? first : first;
    }
    return found;
  }
  function fit(sentence) {
    const size = sentence.sides[0].size;
    if (state.position >= size) state.position = data.last ? size - 1 : 0;
    if (state.word !== null && state.word >= size) state.word = null;
    if (state.from > state.to) state.to = state.from;
    if (!headsChosen()) state.heads = "";
  }
  function headsChosen() {
    if (!state.heads) return null;
    const found = /* @__PURE__ */ new Map();
    for (const name of state.heads.split("_").filter(Boolean)) {
      const [layer, head] = name.split(".").map(Number);
      if (layer < 1 || layer > LAYERS || head < 1 || head > HEADS) continue;
      found.set(layer - 1, [...found.get(layer - 1) ?? [], head - 1]);
    }
    return found.size ? found : null;
  }
  var headNames = () => new Set(state.heads.split("_").filter(Boolean));

  // src/explorer/address.js
  var hashTimer;
  function writeHashSoon() {
    clearTimeout(hashTimer);
    hashTimer = setTimeout(writeHash, 200);
  }
  function writeHash() {
    clearTimeout(hashTimer);
    const hash = `#${toHash()}`;
    if (location.hash === hash || hash === "#" && !location.hash) return;
    try {
      history.replaceState(null, "", hash);
    } catch {
    }
  }

  // src/explorer/app.js
  var context = null;
  var drawing = null;
  var busy = 0;
  var turn = 0;
  var drawnTurn = -1;
  var draw = async () => void 0;
  var now = () => (
    /** @type {Context} */
    context
  );
  var turnNow = () => turn;
  var isDrawn = () => Boolean(context) && turn === drawnTurn;
  function drawBy(how) {
    draw = how;
  }
  function show(found) {
    context = found;
    drawnTurn = turn;
  }
  function set(changes) {
    choose(changes);
    return render();
  }
  function render() {
    turn += 1;
    drawing ??= new Promise((done) => {
      requestAnimationFrame(() => {
        drawing = null;
        busy += 1;
        void draw().then((rest) => {
          done();
          return rest?.();
        }).finally(() => {
          busy -= 1;
          done();
        });
      });
    });
    return drawing;
  }
  async function settled() {
    while (drawing || busy) await (drawing ?? new Promise((done) => setTimeout(done, 5)));
  }

  // src/explorer/colours.js
  var d3 = __toESM(require_d3(), 1);
  var NAMES = ["back", "fore", "soft", "line", "a", "b", "shared", "target", "word"];
  var PALETTE = {};
  var theme = null;
  var themeNow = () => theme ??= isDark() ? "dark" : "light";
  function forgetTheme() {
    theme = null;
  }
  function colours() {
    if (!PALETTE[themeNow()]) {
      const style = getComputedStyle(document.documentElement);
      const found = NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]);
      PALETTE[themeNow()] = Object.fromEntries(found);
    }
    return PALETTE[themeNow()];
  }
  var DASH = { a: "7 3", b: "2 2.5", shared: null, only: null };
  var sequential = (share) => shade(share, themeNow() === "dark").background;
  var DIVERGING = {};
  function diverging(share) {
    const { a, b, back } = colours();
    DIVERGING[themeNow()] ??= d3.scaleLinear([a, back, b]).domain([-1, 0, 1]).interpolate(d3.interpolateLab).clamp(true);
    return DIVERGING[themeNow()](share);
  }
  var PIXELS = /* @__PURE__ */ new Map();
  function pixels(kind) {
    const key = `${kind} ${themeNow()}`;
    if (!PIXELS.has(key)) {
      const colour = kind === "diverging" ? (step) => diverging((step - 128) / 127) : (step) => sequential(step / 255);
      PIXELS.set(
        key,
        Uint32Array.from({ length: 256 }, (_, step) => pixelOf(colour(step)))
      );
    }
    return PIXELS.get(key);
  }
  function pixelOf(colour) {
    const { r, g, b } = d3.rgb(colour);
    return (255 << 24 | b << 16 | g << 8 | r) >>> 0;
  }
  var linear = (domain, range13) => d3.scaleLinear().domain(domain).range(range13);
  var bands = (domain, range13) => (
    /** @type {import("d3").ScaleBand<number>} */
    d3.scaleBand().domain(domain).range(range13)
  );
  var points = (domain, range13) => (
    /** @type {import("d3").ScalePoint<number>} */
    d3.scalePoint().domain(domain).range(range13)
  );
  function inkOn(colour) {
    const { r, g, b } = d3.rgb(colour);
    const [red, green, blue] = [r, g, b].map(
      (part) => part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4
    );
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
  }

  // src/explorer/context.js
  var d32 = __toESM(require_d3(), 1);

  // src/explorer/graph.js
  function fused(side, layer, chosen2) {
    const heads = chosen2?.get(layer)?.filter((head) => head < side.heads);
    return heads?.length && heads.length < side.heads ? side.mean(layer, heads) : side.matrix("raw", layer);
  }
  function mixingOf(attention, size, share) {
    const found = new Float64Array(attention.length);
    for (let i = 0; i < size; i += 1) {
      for (let j = 0; j < size; j += 1)
        found[i * size + j] = (1 - share) * attention[i * size + j] + (i === j ? share : 0);
    }
    return found;
  }
  var unit = (size, index) => Float64Array.from({ length: size }, (_, other) => Number(other === index));
  function backward(mixings, size, target) {
    const shares = [unit(size, target)];
    for (const mixing of [...mixings].reverse()) {
      const below = new Float64Array(size);
      for (let i = 0; i < size; i += 1) {
        if (shares[0][i]) for (let j = 0; j < size; j += 1) below[j] += shares[0][i] * mixing[i * size + j];
      }
      shares.unshift(below);
    }
    return shares;
  }
  function forward(mixings, size, words2) {
    const shares = [words2];
    for (const mixing of mixings) {
      const above = new Float64Array(size);
      const below = shares[shares.length - 1];
      for (let i = 0; i < size; i += 1) for (let j = 0; j < size; j += 1) above[i] += mixing[i * size + j] * below[j];
      shares.push(above);
    }
    return shares;
  }
  function shareArcs(mixings, size, target, words2) {
    const back = target === null ? null : backward(mixings, size, target);
    const front = words2 && forward(mixings, size, words2);
    const arcs = mixings.map((mixing, step) => {
      const found = new Float64Array(mixing.length);
      for (let i = 0; i < size; i += 1) {
        const above = back ? back[step + 1][i] : 1;
        for (let j = 0; j < size; j += 1)
          found[i * size + j] = mixing[i * size + j] * above * (front ? front[step][j] : 1);
      }
      return found;
    });
    const nodes = Array.from(
      { length: mixings.length + 1 },
      (_, step) => Float64Array.from({ length: size }, (_2, i) => (back ? back[step][i] : 1) * (front ? front[step][i] : 1))
    );
    return { arcs, nodes };
  }
  function attentionArcs(attention, size, trace, target, word, threshold) {
    const steps = attention.length;
    const all = () => Array.from({ length: steps + 1 }, () => new Float64Array(size).fill(1));
    const back = all();
    const front = all();
    if (trace === "back" || trace === "both") {
      back[steps] = unit(size, target);
      for (let step = steps; step > 0; step -= 1)
        back[step - 1] = reached(attention[step - 1], size, back[step], threshold, true);
    }
    if (trace === "forward" || trace === "both") {
      front[0] = unit(size, word);
      for (let step = 0; step < steps; step += 1)
        front[step + 1] = reached(attention[step], size, front[step], threshold, false);
    }
    const arcs = attention.map((weights, step) => {
      const found = new Float64Array(weights.length);
      for (let i = 0; i < size; i += 1) {
        if (back[step + 1][i]) {
          for (let j = 0; j < size; j += 1) if (front[step][j]) found[i * size + j] = weights[i * size + j];
        }
      }
      return found;
    });
    return { arcs, nodes: back.map((nodes, step) => nodes.map((node, i) => node * front[step][i])) };
  }
  function reached(weights, size, from, threshold, down) {
    const found = Float64Array.from(from);
    for (let i = 0; i < size; i += 1) {
      for (let j = 0; j < size; j += 1) {
        if (weights[i * size + j] >= threshold && from[down ? i : j]) found[down ? j : i] = 1;
      }
    }
    return found;
  }
  function nodeHeights(arcs, size) {
    const nodes = Array.from({ length: arcs.length + 1 }, () => new Float64Array(size));
    arcs.forEach((matrix, step) => {
      const below = new Float64Array(size);
      const above = new Float64Array(size);
      for (let i = 0; i < size; i += 1) {
        for (let j = 0; j < size; j += 1) {
          above[i] += matrix[i * size + j];
          below[j] += matrix[i * size + j];
        }
      }
      below.forEach((value, position) => nodes[step][position] = Math.max(nodes[step][position], value));
      above.forEach((value, position) => nodes[step + 1][position] = Math.max(nodes[step + 1][position], value));
    });
    return nodes;
  }

  // src/explorer/layers.js
  var valuesOf = (context2, method, layer = state.layer) => context2.sides.map((side) => side.row(method, layerIn(side, layer) - 1, state.position));
  var layerIn = (side, layer = state.layer) => Math.min(layer, side.layers);
  var layerName = ({ sides }) => sides.every((side) => layerIn(side) === state.layer) ? `layer ${state.layer}` : `layers ${sides.map((side) => layerIn(side)).join(" and ")}`;
  var layersCell = ({ sides }) => [...new Set(sides.map((side) => layerIn(side)))].join(" ");
  var layersMeet = ({ sides }) => sides.length < 2 || layerIn(sides[0]) === layerIn(sides[1]) || sides.every((side) => state.layer >= side.layers);
  var shapeOf = (model) => `${shown(model.name)} has ${model.layers} layers × ${model.heads} heads`;
  var noDifference = (isThere) => isThere ? "" : ` No difference is shown here: ${data.models.map(shapeOf).join(", ")}.`;
  var valueNames = ({ sides }) => sides.length === 2 ? ["first", "second"] : ["value"];
  function changeOf([before, after]) {
    return before && after ? after.map((value, index) => value - before[index]) : null;
  }

  // src/explorer/maxflow.js
  var SLACK = 1e-12;
  function maximumFlow(mixings, size, word, target) {
    const steps = mixings.length;
    const room = mixings.map(
      (mixing, step) => step === steps - 1 ? mixing.map((weight, index) => Math.floor(index / size) === target ? weight : 0) : Float64Array.from(mixing)
    );
    const flow = mixings.map(() => new Float64Array(size * size));
    const source = word;
    const sink = steps * size + target;
    let value = 0;
    for (; ; ) {
      const level = levels(room, flow, size, source);
      if (level[sink] < 0) break;
      const next = new Int32Array(level.length);
      for (let pushed = Infinity; pushed > 0; value += pushed) {
        pushed = push({ room, flow, size, sink, level, next }, source, Infinity);
      }
    }
    const nodes = Array.from({ length: steps + 1 }, (_, step) => {
      const through = new Float64Array(size);
      (flow[step] ?? flow[step - 1]).forEach((amount, index) => {
        through[step < steps ? index % size : Math.floor(index / size)] += amount;
      });
      return through;
    });
    return { value, arcs: flow, nodes };
  }
  function levels(room, flow, size, source) {
    const level = new Int32Array((room.length + 1) * size).fill(-1);
    const queue = [source];
    level[source] = 0;
    for (let head = 0; head < queue.length; head += 1) {
      const node = queue[head];
      const step = Math.floor(node / size);
      const at = node % size;
      for (let other = 0; other < size; other += 1) {
        const up = (step + 1) * size + other;
        const down = (step - 1) * size + other;
        if (step < room.length && level[up] < 0 && room[step][other * size + at] > SLACK) {
          level[up] = level[node] + 1;
          queue.push(up);
        }
        if (step > 0 && level[down] < 0 && flow[step - 1][at * size + other] > SLACK) {
          level[down] = level[node] + 1;
          queue.push(down);
        }
      }
    }
    return level;
  }
  function push(net, node, most) {
    const { room, flow, size, sink, level, next } = net;
    if (node === sink) return most;
    const step = Math.floor(node / size);
    const at = node % size;
    for (; next[node] < 2 * size; next[node] += 1) {
      const isUp = next[node] < size;
      const other = next[node] % size;
      if (isUp ? step >= room.length : step === 0) continue;
      const to = (isUp ? step + 1 : step - 1) * size + other;
      if (level[to] !== level[node] + 1) continue;
      const [layer, index] = isUp ? [step, other * size + at] : [step - 1, at * size + other];
      const free = isUp ? room[layer][index] : flow[layer][index];
      if (free <= SLACK) continue;
      const pushed = push(net, to, Math.min(most, free));
      if (pushed > 0) {
        room[layer][index] -= isUp ? pushed : -pushed;
        flow[layer][index] += isUp ? pushed : -pushed;
        return pushed;
      }
    }
    return 0;
  }

  // src/explorer/select.js
  function largest(values2, n) {
    const place = values2.length - n;
    let low = 0;
    let high = values2.length - 1;
    while (low < high) {
      const pivot = values2[low + high >> 1];
      let left = low;
      let right = high;
      while (left <= right) {
        while (values2[left] < pivot) left += 1;
        while (values2[right] > pivot) right -= 1;
        if (left > right) break;
        const kept = values2[left];
        values2[left++] = values2[right];
        values2[right--] = kept;
      }
      if (place <= right) high = right;
      else if (place >= left) low = left;
      else break;
    }
    return values2[place];
  }

  // src/explorer/context.js
  var ARCS = 300;
  var AUTOMATIC = 70;
  var STRONGER = 2;
  function shownSides(sentence) {
    if (state.models === "a") return [0];
    return state.models === "b" ? [1] : sentence.sides.map((_, number) => number);
  }
  function traceNow() {
    if (state.word === null && (state.trace === "forward" || state.trace === "both" || state.strength === "flow"))
      return "back";
    if (state.strength === "flow") return "both";
    return state.trace === "all" && state.strength !== "attention" ? "back" : state.trace;
  }
  var strengthNow = () => state.strength === "flow" && state.word === null ? "share" : state.strength;
  var rangeIn = (side) => ({ from: Math.min(state.from, side.layers), to: Math.min(state.to, side.layers) });
  function arcsOf(side, strength, trace, threshold) {
    const chosen2 = headsChosen();
    const { from, to } = rangeIn(side);
    const layers = d32.range(from - 1, to);
    const { size } = side;
    const word = state.word ?? 0;
    if (strength === "attention") {
      const attention = layers.map((layer) => withoutSpecial(side, fused(side, layer, chosen2)));
      return { from, ...attentionArcs(attention, size, trace, state.position, word, threshold) };
    }
    const mixings = layers.map((layer) => mixingOf(fused(side, layer, chosen2), size, data.settings.residual));
    if (strength === "flow") return { from, ...maximumFlow(mixings, size, word, state.position) };
    const words2 = trace === "back" ? plainWords(side) : unit(size, word);
    return { from, ...shareArcs(mixings, size, trace === "forward" ? null : state.position, words2) };
  }
  var stands = (side, token) => state.special === "1" || side.source[token] >= 0 || token === state.position || token === state.word;
  function plainWords(side) {
    const words2 = Float64Array.from(side.source, (place) => Number(place >= 0));
    return state.special === "1" || !words2.includes(1) ? null : words2;
  }
  function withoutSpecial(side, attention) {
    const { size } = side;
    if (side.source.every((_, token) => stands(side, token))) return attention;
    return attention.map(
      (weight, index) => stands(side, index % size) && stands(side, Math.floor(index / size)) ? weight : 0
    );
  }
  function contextOf(sentence) {
    const numbers = shownSides(sentence);
    const sides = numbers.map((number) => sentence.sides[number]);
    const strength = strengthNow();
    const trace = traceNow();
    const size = sides[0].size;
    const diff = state.models === "diff";
    const before = sides.map((side) => arcsOf(side, strength, strength === "attention" ? "all" : trace, 0));
    const threshold = state.threshold ?? automatic(
      before.map(({ arcs }) => arcs),
      size,
      diff
    );
    const graphs = strength === "attention" ? sides.map((side) => arcsOf(side, strength, trace, threshold)) : before;
    const conserved = strength === "attention" ? sides.map((side) => arcsOf(side, "share", trace === "all" ? "back" : trace, 0)) : before;
    const shared = { sentence, strength, trace, size, threshold, words: sides[0].words };
    const names = numbers.map((number) => data.models[number].name);
    const found = (
      /** @type {Context} */
      { ...shared, numbers, sides, diff, graphs, conserved, names }
    );
    const pictures = (
      /** @type {Picture[]} */
      sides.length === 1 || SAME_DEPTH ? [found] : sides.map((side, at) => ({
        ...shared,
        numbers: [numbers[at]],
        sides: [side],
        diff: false,
        graphs: [graphs[at]],
        names: [names[at]]
      }))
    );
    for (const picture of pictures) {
      Object.assign(picture, rangeIn(picture.sides[0]), { layer: layerIn(picture.sides[0]) });
      Object.assign(picture, combined(picture));
    }
    return { ...found, pictures };
  }
  function automatic(graphs, size, diff) {
    const together = graphs.length === 1 || SAME_DEPTH;
    const most = together ? AUTOMATIC : 2 * AUTOMATIC;
    const values2 = new Float64Array(d32.sum(graphs, (arcs) => arcs.length) * size * size);
    let count = 0;
    for (const arcs of together ? [graphs[0]] : graphs) {
      arcs.forEach((first, step) => {
        const second = together && graphs[1]?.[step] || first;
        for (let index = 0; index < first.length; index += 1) {
          const a = first[index];
          const b = second[index];
          const value2 = diff && together ? Math.abs(b - a) : Math.max(a, b);
          if (value2 > 0 && index % (size + 1)) values2[count++] = value2;
        }
      });
    }
    if (!count) return 0;
    const value = largest(values2.subarray(0, count), Math.min(count, most));
    const unitOf = 10 ** (Math.floor(Math.log10(value)) - 1);
    return Math.min(1, Number((Math.floor(value / unitOf) * unitOf).toPrecision(2)));
  }
  function visitArcs({ graphs, diff, threshold }, visit) {
    graphs[0].arcs.forEach((first, step) => {
      const second = graphs[1]?.arcs[step];
      for (let index = 0; index < first.length; index += 1) {
        const a = first[index];
        const b = second ? second[index] : a;
        const value = diff ? Math.abs(b - a) : Math.max(a, b);
        if (value >= threshold && value > 0) visit(step, index, a, b, value);
      }
    });
  }
  function arcsFrom(picture, least) {
    const { graphs, size, diff, from } = picture;
    const alone = graphs.length === 1;
    const arcs = [];
    visitArcs(picture, (step, index, a, b, value) => {
      if (value >= least)
        arcs.push({
          layer: from + step,
          to: Math.floor(index / size),
          from: index % size,
          a,
          b,
          value,
          kind: kindOf(a, b, diff, alone)
        });
    });
    return arcs.sort(
      (one, other) => other.value - one.value || one.layer - other.layer || one.to - other.to || one.from - other.from
    );
  }
  var arcsOver = (picture) => arcsFrom(picture, 0);
  function combined(picture) {
    const { graphs, size, diff } = picture;
    const alone = graphs.length === 1;
    const counts = { shared: 0, a: 0, b: 0, only: 0 };
    const values2 = new Float64Array(graphs[0].arcs.length * size * size);
    let over = 0;
    let own = 0;
    let strongest = 0;
    let any = 0;
    visitArcs(picture, (_step, index, a, b, value) => {
      values2[over++] = value;
      if (value > any) any = value;
      if (index % (size + 1) === 0) {
        own += 1;
        return;
      }
      counts[kindOf(a, b, diff, alone)] += 1;
      if (value > strongest) strongest = value;
    });
    const least = over > ARCS ? largest(values2.subarray(0, over), ARCS) : 0;
    return { arcs: arcsFrom(picture, least).slice(0, ARCS), over, own, counts, strongest: strongest || any };
  }
  function kindOf(a, b, diff, alone) {
    if (alone) return "only";
    if (diff) return b > a ? "b" : "a";
    if (a >= STRONGER * b) return "a";
    return b >= STRONGER * a ? "b" : "shared";
  }

  // src/explorer/actions.js
  function pick(is, more) {
    if (is.head !== void 0) return more ? toggleHead(is.layer ?? 0, is.head) : set({ layer: is.layer, head: is.head });
    if (is.cell) return set({ cell: state.cell === is.cell ? "" : is.cell });
    const changes = {};
    if (is.layer) changes.layer = is.layer;
    if (is.word !== void 0 && more) return set({ position: is.word });
    if (is.word !== void 0) changes.word = state.word === is.word && is.position === void 0 ? null : is.word;
    if (is.position !== void 0) changes.position = is.position;
    return set(changes);
  }
  function toggleHead(layer, head) {
    const names = headNames();
    const name = `${layer}.${head}`;
    if (!names.delete(name)) names.add(name);
    set({ heads: [...names].sort().join("_") });
  }
  function onlyShown() {
    if (!state.head) return set({ heads: "" });
    const others = [...headNames()].filter((name) => !name.startsWith(`${state.layer}.`));
    return set({ heads: [...others, `${state.layer}.${state.head}`].sort().join("_") });
  }
  var cycle = (fieldName, values2) => () => {
    const next = values2[(values2.indexOf(state[fieldName]) + 1) % values2.length];
    return set(
      /** @type {Partial<State>} */
      { [fieldName]: next }
    );
  };
  var stepped = (fieldName, by, low, high) => () => set({ [fieldName]: Math.min(high(), Math.max(low, (state[fieldName] ?? low - (by > 0 ? 1 : -1)) + by)) });
  var last = () => now().size - 1;

  // src/shared/format.js
  var import_d3 = __toESM(require_d3(), 1);
  var { format } = (0, import_d3.formatDefaultLocale)({
    decimal: ".",
    thousands: ",",
    grouping: [3],
    currency: ["$", ""],
    minus: "-"
  });

  // src/explorer/numbers.js
  var WRITERS = (
    /** @type {[number, (value: number) => string][]} */
    [
      [10, 4],
      [6, 3],
      [0, 2]
    ].map(([bits, digits2]) => [bits, format(`.${digits2}~r`)])
  );
  var write = WRITERS[0][1];
  function trust({ bits }) {
    write = WRITERS.find(([least]) => bits >= least)?.[1] ?? write;
  }
  var digits = (value) => value === null || value === void 0 || Number.isNaN(value) ? "not computed" : value === 0 ? "0" : Math.abs(value) >= 1e-3 ? write(value) : Number(value).toExponential(2);
  function perModel(context2, values2) {
    const lines = values2.map((value, number) => [context2.names[number], digits(value)]);
    if (values2.length === 2) {
      const change = (values2[1] ?? NaN) - (values2[0] ?? NaN);
      lines.push(["change", `${change > 0 ? "+" : ""}${digits(change)}`]);
    }
    return lines;
  }

  // src/explorer/threshold.js
  var LEAST = 4;
  var toSlider = (threshold) => threshold <= 0 ? 0 : Math.max(1, Math.min(100, Math.round(100 * (1 + Math.log10(threshold) / LEAST))));
  var fromSlider = (value) => value <= 0 ? 0 : Number((10 ** (LEAST * (value / 100 - 1))).toPrecision(2));

  // src/explorer/widgets.js
  var d33 = __toESM(require_d3(), 1);
  function segment(field2, options) {
    const box = make("span", { className: "segment", role: "radiogroup", data: { field: field2 } });
    for (const [value, text, title] of options) {
      const button = make(
        "button",
        { type: "button", title: inUnits(title), role: "radio", data: { value } },
        ...textNodes(text)
      );
      button.addEventListener("click", () => set({ [field2]: value }));
      box.append(button);
    }
    return box;
  }
  function chooser(field2, options, label, read = (text) => text) {
    const select = make("select", { id: `choose-${field2}`, data: { field: field2 }, title: inUnits(label) });
    select.setAttribute("aria-label", inUnits(label));
    select.append(...options.map(([value, text]) => make("option", { value }, ...textNodes(text))));
    select.addEventListener("change", () => set({ [field2]: read(select.value) }));
    return select;
  }
  var field = (name, ...children) => make(
    "div",
    { className: "field" },
    make("span", { className: "name" }, inUnits(name)),
    make("span", { className: "group" }, ...children)
  );
  var numbersTo = (most, first = 1) => d33.range(first, most + 1).map((number) => [String(number), String(number)]);
  function said(element, name, value) {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  }
  function fill(select, options) {
    const key = JSON.stringify(options);
    if (select.filled === key) return;
    select.filled = key;
    select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
  }

  // src/explorer/controls.js
  function setUpControls() {
    const slider = make("input", {
      type: "range",
      id: "threshold",
      min: 0,
      max: 100,
      step: 1,
      title: "Strength filter (keys + and -)"
    });
    slider.addEventListener("input", () => set({ threshold: fromSlider(Number(slider.value)) }));
    const automaticButton = make(
      "button",
      { type: "button", id: "automatic", title: "Leave about 70 arcs between different positions (key 0)" },
      "auto"
    );
    automaticButton.addEventListener("click", () => set({ threshold: null }));
    const allHeads = make("button", { type: "button", id: "all-heads", title: "Take all heads again" }, "all");
    allHeads.addEventListener("click", () => set({ heads: "" }));
    const oneHead = make(
      "button",
      { type: "button", id: "one-head", title: "Of this layer take only the head that is shown (key a)" },
      "only shown"
    );
    oneHead.addEventListener("click", onlyShown);
    byId("controls").append(
      ...PAIR ? [
        field(
          "Models",
          segment("models", [
            ["both", "both", "both models, told apart (key m)"],
            ["diff", "difference", "the second less the first"],
            ["a", data.models[0].name, "the first alone"],
            ["b", data.models[1].name, "the second alone"]
          ])
        )
      ] : [],
      field(
        "Compute by",
        segment("strength", [
          ["share", "share", "the share of the position that passes along an arc; at the words it is rollout (key b)"],
          ["attention", "attention", "the attention of the heads chosen, fused"],
          ["flow", "flow", "a maximum flow from the word to the position"]
        ])
      ),
      field(
        "Paths",
        segment("trace", [
          ["back", "to the position", "from all words to the position (key x)"],
          ["forward", inUnits("from the word"), "from the word to all positions"],
          ["both", inUnits("word → position"), "what goes from the word to the position"],
          ["all", "all", "every arc over the threshold (of attention)"]
        ])
      ),
      field("Position", chooser("position", [], "The position whose make-up is asked for (keys , and .)", Number)),
      field(
        "Word",
        chooser("word", [], "The word that is traced (keys < and >)", (text) => text === "" ? null : Number(text))
      ),
      field(
        "Layers of arcs",
        chooser("from", numbersTo(LAYERS), "The first layer of the arcs (keys ( and ))", Number),
        make("span", {}, "to"),
        chooser("to", numbersTo(LAYERS), "The last layer of the arcs (keys { and })", Number)
      ),
      field("Threshold", slider, make("output", { id: "over" }), automaticButton),
      field("Heads", make("output", { id: "heads" }), oneHead, allHeads),
      field(
        "Method",
        segment(
          "method",
          data.methods.map((method) => [method, method, "for words and heat maps (key v)"])
        )
      ),
      field(
        "Layer of words and maps",
        chooser("layer", numbersTo(LAYERS), "The layer of words, maps and bars (keys [ and ])", Number)
      ),
      field(
        "Special tokens",
        segment("special", [
          ["", "hidden", "leave [CLS], [SEP] and the like out of arcs, ribbons and bars (key i)"],
          ["1", "shown", "show them like words"]
        ])
      ),
      // The meaning of the lines stays in sight with the controls.
      byId("legend")
    );
    byId("options").addEventListener("click", () => {
      const open = document.body.classList.toggle("options");
      byId("options").setAttribute("aria-expanded", String(open));
      byId("options").textContent = open ? "Fewer options" : "All options";
    });
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
  }
  function drawControls(context2) {
    for (
      const box of
      /** @type {NodeListOf<HTMLElement>} */
      document.querySelectorAll(".segment")
    ) {
      for (
        const button of
        /** @type {Iterable<HTMLElement>} */
        box.children
      )
        said(button, "aria-checked", String(button.dataset.value === String(chosen(box))));
    }
    const options = context2.words.map((word, position) => [String(position), `${position}  ${short(word, 20)}`]);
    fill(byId("choose-position"), options);
    fill(byId("choose-word"), [["", "none"], ...options]);
    for (
      const select of
      /** @type {NodeListOf<HTMLSelectElement>} */
      document.querySelectorAll("select[data-field]")
    ) {
      const value = String(chosen(select) ?? "");
      if (select.value !== value) select.value = value;
    }
    byId("threshold").value = String(toSlider(context2.threshold));
    byId("over").textContent = digits(context2.threshold);
    said(byId("automatic"), "aria-pressed", String(state.threshold === null));
    const count = headNames().size;
    byId("heads").textContent = count ? `${count}${SAME_SHAPE ? ` of ${LAYERS * HEADS}` : ""}` : `all${SAME_SHAPE ? ` ${LAYERS * HEADS}` : ""}`;
    byId("all-heads").disabled = !count;
    byId("one-head").disabled = !state.head;
    drawAbout(context2);
    drawLegend();
  }
  var chosen = (control) => state[
    /** @type {keyof State} */
    control.dataset.field
  ];
  var legendBefore = null;
  function drawLegend() {
    const diff = state.models === "diff";
    if (legendBefore === diff) return;
    legendBefore = diff;
    Array.from(byId("legend").children).forEach((item, number) => {
      item.hidden = diff && number === 2;
      if (number < 2)
        item.lastChild.replaceChildren(...textNodes(`${diff ? "stronger" : "2 ×"} in ${data.models[number].name}`));
    });
  }
  function rounding({ bits, steps, fused: fused2 }) {
    if (bits === 10) return [];
    const percent = (100 / 2 ** (bits + 1)).toFixed(1);
    const mean2 = fused2.length ? `, ${fused2.join(", ")} as their mean` : "";
    return [
      `rounded, as there are many positions: relevance to ${percent} %, a head's weight a by up to √a / ${steps}${mean2}`
    ];
  }
  function drawAbout({ sentence, strength, words: words2 }) {
    const parts = [`${sentence.index + 1} of ${data.sentences.length}`];
    if (PAIR && SAME_SHAPE) parts.push(`change of attention ${digits(sentence.mean_change)}`);
    if (PAIR) parts.push(`change of relevance ${digits(sentence.moved)}`);
    if (sentence.flows_certified !== null && sentence.flows_certified < 1)
      parts.push(`${(Math.floor(sentence.flows_certified * 1e4) / 100).toFixed(2)} % of flows certified`);
    parts.push(...rounding(sentence.kept));
    if (state.strength === "flow" && strength !== "flow") parts.push(inUnits("choose a word to see a flow"));
    else if (state.word === null && (state.trace === "forward" || state.trace === "both"))
      parts.push(inUnits("choose a word to see its paths"));
    byId("sentence-about").textContent = `${inUnits("Sentence")} ${parts.join(" · ")} · what ${words2[state.position]} (${state.position}) is made of`;
  }

  // src/shared/save.js
  function saved(file, blob) {
    const link = make("a", { href: URL.createObjectURL(blob), download: file });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 1e4);
  }

  // src/explorer/scene.js
  var d34 = __toESM(require_d3(), 1);
  var SVG = "http://www.w3.org/2000/svg";
  var TAGS = { path: "path", circle: "circle", rect: "rect", text: "text" };
  var FONT = "system-ui, sans-serif";
  var HALO = 3;
  function attributesOf(mark) {
    const { kind, shift } = mark;
    const found = {};
    if (kind === "path") found.d = dOf(mark);
    if (kind === "circle") Object.assign(found, { cx: round(mark.x), cy: round(mark.y), r: round(mark.r) });
    if (kind === "rect")
      Object.assign(found, {
        x: round(mark.x),
        y: round(mark.y),
        width: round(mark.width),
        height: round(mark.height),
        rx: mark.rx
      });
    if (kind === "text") {
      Object.assign(found, {
        "text-anchor": mark.anchor ?? "start",
        "font-size": mark.size ?? 11,
        "font-family": FONT,
        "dominant-baseline": mark.baseline ?? "central"
      });
      found.transform = `translate(${round(mark.x)} ${round(mark.y)})${mark.turn ? ` rotate(${round(mark.turn)})` : ""}`;
      if (mark.bold) found["font-weight"] = 700;
      if (mark.halo)
        Object.assign(found, {
          stroke: colours().back,
          "stroke-width": HALO,
          "stroke-linejoin": "round",
          "paint-order": "stroke"
        });
    }
    found.fill = mark.fill ?? (kind === "text" ? colours().fore : "none");
    if (mark.stroke)
      Object.assign(found, { stroke: mark.stroke, "stroke-width": round(mark.line ?? 1), "stroke-dasharray": mark.dash });
    if (mark.cap) found["stroke-linecap"] = mark.cap;
    if (mark.opacity !== void 0) found.opacity = round(mark.opacity);
    if (shift)
      found.transform = `translate(${round(shift[0])} ${round(shift[1])})${found.transform ? ` ${found.transform}` : ""}`;
    return found;
  }
  var round = (value) => Math.round(value * 100) / 100;
  function dOf(mark) {
    const path2 = d34.path();
    mark.trace(
      /** @type {any} */
      path2
    );
    return String(path2).replace(/-?\d+\.\d{3,}(?:e-?\d+)?/g, (number) => String(round(Number(number))));
  }
  var lineFrom = (x, y, right, bottom) => (pen) => {
    pen.moveTo(x, y);
    pen.lineTo(right, bottom);
  };
  function curveFrom(link, ends) {
    return (pen) => {
      link.context(pen)(ends);
      link.context(null);
    };
  }
  var moved = (mark, right, down) => ({
    ...mark,
    shift: [right + (mark.shift?.[0] ?? 0), down + (mark.shift?.[1] ?? 0)]
  });
  function beside(scenes, width) {
    const across = standsBeside(scenes.length, width);
    const each = width / across;
    const marks = [];
    let top = 0;
    let height = 0;
    scenes.forEach((scene, number) => {
      if (number && number % across === 0) top = height;
      const right = number % across * each;
      marks.push(...scene.marks.map((mark) => moved(mark, right, top)));
      height = Math.max(height, top + scene.height);
    });
    return { marks, height };
  }
  var standsBeside = (count, width) => width > 470 ? count : 1;
  function rasterOf(columns, rows, value, kind, level) {
    const canvas = make("canvas", { width: columns, height: rows });
    const pen = penOf(canvas);
    const image = pen.createImageData(columns, rows);
    const lookup = pixels(kind);
    const out = new Uint32Array(image.data.buffer);
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        const number = value(row, column);
        if (!Number.isNaN(number)) out[row * columns + column] = lookup[Math.max(0, Math.min(255, level(number)))];
      }
    }
    pen.putImageData(image, 0, 0);
    return canvas;
  }
  var LINE = 16;
  function emptyScene(width, text) {
    const lines = inLines(text, Math.floor(width / 6));
    return {
      width,
      height: 44 + LINE * lines.length,
      marks: lines.map((line, at) => ({ kind: "text", x: 8, y: 26 + LINE * at, text: line, fill: colours().soft })),
      note: "",
      table: () => [["nothing"]]
    };
  }
  function inLines(text, most) {
    const lines = [];
    for (const word of text.split(" ")) {
      const longer = lines.length ? `${lines[lines.length - 1]} ${word}` : "";
      if (longer && longer.length <= most) lines[lines.length - 1] = longer;
      else lines.push(short(word, most));
    }
    return lines;
  }

  // src/explorer/draw.js
  function drawScene(canvas, scene, scale = window.devicePixelRatio || 1) {
    const width = Math.round(scene.width * scale);
    const height = Math.round(scene.height * scale);
    if (canvas.width !== width || canvas.height !== height) {
      Object.assign(canvas, { width, height });
      canvas.style.width = `${scene.width}px`;
      canvas.style.height = `${scene.height}px`;
    }
    const pen = penOf(canvas, { alpha: false });
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    drawOn(pen, scene);
  }
  function drawOn(pen, scene) {
    pen.fillStyle = colours().back;
    pen.fillRect(0, 0, scene.width + 1, scene.height + 1);
    for (const mark of scene.marks) {
      const { shift } = mark;
      if (shift) pen.translate(...shift);
      if (mark.kind === "raster") drawRaster(pen, mark);
      else if (mark.kind === "text") drawText(pen, mark);
      else drawShape(pen, mark);
      if (shift) pen.translate(-shift[0], -shift[1]);
    }
  }
  function drawRaster(pen, raster) {
    pen.globalAlpha = 1;
    pen.imageSmoothingEnabled = raster.canvas.width > raster.width;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(raster.canvas, raster.x, raster.y, raster.width, raster.height);
  }
  var ALIGN = { start: "left", middle: "center", end: "right" };
  var BASELINE = { auto: "alphabetic", hanging: "top", central: "middle" };
  var NO_DASH = [];
  var DASHES = /* @__PURE__ */ new Map();
  function dashOf(text) {
    if (!text) return NO_DASH;
    if (!DASHES.has(text)) DASHES.set(text, text.split(" ").map(Number));
    return DASHES.get(text);
  }
  function drawShape(pen, mark) {
    pen.globalAlpha = mark.opacity ?? 1;
    if (mark.fill && mark.fill !== "none") {
      pen.fillStyle = mark.fill;
      if (mark.kind === "rect") pen.fillRect(mark.x, mark.y, mark.width, mark.height);
      else {
        tracePath(pen, mark);
        pen.fill();
      }
    }
    if (!mark.stroke) return;
    pen.setLineDash(dashOf(mark.dash));
    pen.lineCap = mark.cap ?? "butt";
    pen.lineWidth = mark.line ?? 1;
    pen.strokeStyle = mark.stroke;
    tracePath(pen, mark);
    pen.stroke();
  }
  function tracePath(pen, mark) {
    pen.beginPath();
    if (mark.kind === "circle") pen.arc(mark.x, mark.y, mark.r, 0, 2 * Math.PI);
    else if (mark.kind === "rect") pen.rect(mark.x, mark.y, mark.width, mark.height);
    else mark.trace(pen);
  }
  var fontOf = (mark) => `${mark.bold ? "700 " : ""}${mark.size ?? 11}px ${FONT}`;
  function drawText(pen, mark) {
    const before = mark.turn ? pen.getTransform() : null;
    pen.globalAlpha = mark.opacity ?? 1;
    pen.fillStyle = mark.fill ?? colours().fore;
    pen.font = fontOf(mark);
    pen.textAlign = ALIGN[mark.anchor ?? "start"];
    pen.textBaseline = BASELINE[mark.baseline ?? "central"];
    if (mark.halo) {
      pen.setLineDash(NO_DASH);
      pen.lineWidth = HALO;
      pen.lineJoin = "round";
      pen.strokeStyle = colours().back;
      pen.strokeText(mark.text, mark.x, mark.y);
    }
    if (!before) return pen.fillText(mark.text, mark.x, mark.y);
    pen.translate(mark.x, mark.y);
    pen.rotate((mark.turn ?? 0) * Math.PI / 180);
    pen.fillText(mark.text, 0, 0);
    return pen.setTransform(before);
  }

  // src/explorer/export.js
  var HEAD = 22;
  var LETTER = 6.4;
  function titled(scene) {
    const head = [{ kind: "text", x: 8, y: HEAD / 2, text: scene.title ?? "", size: 12, bold: true }];
    const kinds = new Set(scene.marks.map((mark) => mark.kind === "path" ? mark.arc : void 0));
    const [a, b] = data.models.map(({ name }) => name);
    const more = state.models === "diff" ? "stronger" : "2 × as strong, or more,";
    const names = { a: `${more} in ${a}`, b: `${more} in ${b}`, shared: "alike in both" };
    let left = 8;
    for (
      const kind of
      /** @type {(keyof typeof names)[]} */
      Object.keys(names)
    ) {
      if (!kinds.has(kind)) continue;
      const y = 1.5 * HEAD;
      head.push(
        { kind: "path", trace: lineFrom(left, y, left + 28, y), stroke: colours()[kind], line: 2.5, dash: DASH[kind] },
        { kind: "text", x: left + 34, y, text: names[kind], size: 11 }
      );
      left += 50 + LETTER * names[kind].length;
    }
    const down = left > 8 ? 2 * HEAD : HEAD;
    const width = Math.max(scene.width, left, 16 + 1.2 * LETTER * (scene.title ?? "").length);
    const marks = scene.marks.map((mark) => moved(mark, 0, down));
    return { ...scene, width, height: scene.height + down, marks: [...head, ...marks] };
  }
  function svgText(picture) {
    const scene = titled(picture);
    const own = document.implementation.createDocument(SVG, "svg");
    const svg = own.documentElement;
    for (const [name, value] of Object.entries({
      width: scene.width,
      height: scene.height,
      viewBox: `0 0 ${scene.width} ${scene.height}`
    }))
      svg.setAttribute(name, String(value));
    const add = (tag, attributes, text) => {
      const element = own.createElementNS(SVG, tag);
      for (const [name, value] of Object.entries(attributes))
        if (value != null) element.setAttribute(name, String(value));
      if (text) element.textContent = text;
      svg.append(element);
    };
    add("title", {}, scene.title);
    add("rect", { width: scene.width, height: scene.height, fill: colours().back });
    for (const mark of scene.marks) {
      if (mark.kind !== "raster") add(TAGS[mark.kind], attributesOf(mark), mark.kind === "text" ? mark.text : "");
      else
        add("image", {
          href: enlarged(mark).toDataURL(),
          x: mark.x + (mark.shift?.[0] ?? 0),
          y: mark.y + (mark.shift?.[1] ?? 0),
          width: mark.width,
          height: mark.height
        });
    }
    return `${new XMLSerializer().serializeToString(svg)}
`;
  }
  function enlarged(raster) {
    const canvas = make("canvas", { width: Math.round(raster.width * 2), height: Math.round(raster.height * 2) });
    drawRaster(penOf(canvas), { ...raster, x: 0, y: 0, width: canvas.width, height: canvas.height });
    return canvas;
  }
  function pngCanvas(picture) {
    const scene = titled(picture);
    const scale = 2;
    const canvas = make("canvas", { width: scene.width * scale, height: scene.height * scale });
    const pen = penOf(canvas);
    pen.scale(scale, scale);
    drawOn(pen, scene);
    return canvas;
  }
  async function saveScene(scene, file, kind) {
    if (kind === "svg") return saved(file, new Blob([svgText(scene)], { type: "image/svg+xml" }));
    if (kind === "csv") return saved(file, new Blob([csvText(scene.table())], { type: "text/csv" }));
    const blob = await new Promise((done) => pngCanvas(scene).toBlob(done, "image/png"));
    return blob && saved(file, blob);
  }

  // src/explorer/list.js
  var d35 = __toESM(require_d3(), 1);

  // src/explorer/confusion.js
  var known = (label) => label !== null && label !== void 0;
  var CONFUSIONS = [
    ...PAIR ? [
      {
        name: "pair",
        rows: data.models[0].name,
        columns: data.models[1].name,
        of: (sentence) => [
          sentence.sides[0].prediction,
          sentence.sides[1].prediction
        ]
      }
    ] : [],
    ...data.models.map((model, number) => ({
      name: `label${number}`,
      rows: "label",
      columns: model.name,
      of: (sentence) => [sentence.label, sentence.sides[number].prediction]
    }))
  ].filter(({ of }) => data.sentences.some((sentence) => of(sentence).every(known)));
  var confusionLabels = [
    ...new Set(CONFUSIONS.flatMap(({ of }) => data.sentences.flatMap((sentence) => of(sentence).filter(known))))
  ].sort();
  function confusionOf(table) {
    const counts = confusionLabels.map(() => confusionLabels.map(() => 0));
    for (const sentence of data.sentences) {
      const [row, column] = table.of(sentence).map((label) => confusionLabels.indexOf(label ?? ""));
      if (row >= 0 && column >= 0) counts[row][column] += 1;
    }
    return counts;
  }
  function inCell(sentence) {
    if (!state.cell) return true;
    const [name, row, column] = state.cell.split(".");
    const table = CONFUSIONS.find((other2) => other2.name === name);
    if (!table) return true;
    const [one, other] = table.of(sentence);
    return one === confusionLabels[Number(row)] && other === confusionLabels[Number(column)];
  }
  var confidence = (side) => side.probabilities?.[side.prediction ?? ""] ?? null;

  // src/explorer/matches.js
  function tokensFound(index, wanted2) {
    const { pieces, source } = data.sentences[index].sides[0];
    const starts = [];
    let text = "";
    pieces.forEach(([gap, surface], token) => {
      text += gap;
      starts.push(text.length);
      if (source[token] >= 0) text += surface;
    });
    const found = [];
    const low = text.toLowerCase();
    for (let at = low.indexOf(wanted2); at >= 0; at = low.indexOf(wanted2, at + wanted2.length)) {
      const token = starts.findLastIndex((start, place) => start <= at && source[place] >= 0);
      if (token >= 0 && !found.includes(token)) found.push(token);
    }
    return found;
  }
  var wanted = () => state.search.trim().toLowerCase();
  function wordFound(index) {
    const found = wanted() ? tokensFound(index, wanted()) : [];
    return found.length ? { word: found[0] } : {};
  }

  // src/explorer/list.js
  var whole = (sentence) => sentence.pair === null ? sentence.text : `${sentence.text} | ${sentence.pair}`;
  var lowered = data.sentences.map((sentence) => whole(sentence).toLowerCase());
  var largestLoss = (sentence) => Math.max(...sentence.sides.map(({ loss }) => loss ?? -Infinity));
  var leastSure = (sentence) => -Math.min(...sentence.sides.map((side) => confidence(side) ?? Infinity));
  var sortIf = (there, ...order) => there ? [order] : [];
  var anySide = (holds) => data.sentences.some((sentence) => sentence.sides.some(holds));
  var SORTS = [
    ...sortIf(true, "order", "as given", null),
    ...sortIf(PAIR && SAME_SHAPE, "change", "change of attention", (sentence) => sentence.mean_change),
    ...sortIf(PAIR, "moved", "change of relevance", (sentence) => sentence.moved),
    ...sortIf(
      anySide(({ loss }) => known(loss)),
      "loss",
      "loss",
      largestLoss
    ),
    ...sortIf(
      anySide(({ prediction }) => known(prediction)),
      "prediction",
      "prediction",
      null
    ),
    ...sortIf(
      anySide((side) => confidence(side) !== null),
      "confidence",
      "the least sure",
      leastSure
    )
  ];
  var items = data.sentences.map((sentence, index) => {
    const characters = Array.from(whole(sentence));
    const text = characters.length > 240 ? `${characters.slice(0, 240).join("")}…` : characters.join("");
    const labels = sentence.sides.flatMap(
      (side, number) => known(side.prediction) ? [
        make(
          "span",
          { className: `label ${PAIR ? "ab"[number] : ""}`, title: data.models[number].name },
          isolated(side.prediction)
        )
      ] : []
    );
    const value = make("span", { className: "value" });
    const button = make(
      "button",
      { type: "button" },
      make("span", { className: "id" }, String(sentence.id)),
      ...sentence.sides[0].picture ? [make("img", { className: "small-picture", src: sentence.sides[0].picture.uri, alt: "" })] : [],
      make("span", { className: "sentence", dir: "auto" }, ...textNodes(text)),
      make("span", { className: "labels" }, ...labels, value)
    );
    button.addEventListener("click", () => set({ sentence: index, ...wordFound(index) }));
    return { element: make("li", {}, button), button, value };
  });
  function listed() {
    const wanted2 = state.search.trim().toLowerCase();
    const found = d35.range(data.sentences.length).filter((index) => lowered[index].includes(wanted2) && inCell(data.sentences[index]));
    const key = SORTS.find(([name]) => name === state.sort)?.[2];
    if (key) found.sort((one, other) => key(data.sentences[other]) - key(data.sentences[one]) || one - other);
    if (state.sort === "prediction") {
      const text = (index) => data.sentences[index].sides.map(({ prediction }) => prediction ?? "").join(" ");
      found.sort((one, other) => text(one) < text(other) ? -1 : text(one) > text(other) ? 1 : one - other);
    }
    return found;
  }
  var listBefore = "";
  var shownBefore = "";
  var chosenBefore = -1;
  var currentBefore = -1;
  function drawList() {
    const key = JSON.stringify([state.search, state.sort, state.cell]);
    if (key !== listBefore) {
      listBefore = key;
      const order = listed();
      const sort = SORTS.find(([name]) => name === state.sort);
      for (const index of order)
        items[index].value.textContent = sort?.[2] ? digits(Math.abs(sort[2](data.sentences[index]))) : "";
      byId("sentences").replaceChildren(...order.map((index) => items[index].element));
      byId("count").textContent = `${order.length} of ${data.sentences.length} ${inUnits("sentences")}${state.cell ? " (by prediction)" : ""}`;
      byId("unfilter").hidden = !state.cell && !state.search;
    }
    if (currentBefore !== state.sentence) {
      items[currentBefore]?.button.removeAttribute("aria-current");
      items[state.sentence].button.setAttribute("aria-current", "true");
      currentBefore = state.sentence;
    }
  }
  function scrollList() {
    const list = byId("sentences");
    const chosen2 = items[state.sentence].element;
    if (!chosen2.isConnected || listBefore === shownBefore && state.sentence === chosenBefore) return;
    chosenBefore = state.sentence;
    shownBefore = listBefore;
    const top = chosen2.offsetTop - list.offsetTop;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + chosen2.offsetHeight > list.scrollTop + list.clientHeight)
      list.scrollTop = top + chosen2.offsetHeight - list.clientHeight;
  }
  function stepSentence(by) {
    const order = listed();
    const at = order.indexOf(state.sentence);
    const next = order[at < 0 ? 0 : at + by];
    if (next !== void 0) set({ sentence: next, ...wordFound(next) });
  }

  // src/explorer/find.js
  function stepFound(by) {
    if (!wanted()) return byId("search").focus();
    const all = listed().flatMap((index) => tokensFound(index, wanted()).map((word) => ({ sentence: index, word })));
    if (!all.length) return void 0;
    const at = all.findIndex(({ sentence, word }) => sentence === state.sentence && word === state.word);
    const next = at < 0 ? Math.max(
      0,
      all.findIndex(({ sentence }) => sentence === state.sentence)
    ) : (at + by + all.length) % all.length;
    byId("found").textContent = `${next + 1} of ${all.length}`;
    return set(all[next]);
  }

  // src/explorer/frame.js
  var NAMES2 = ["sentence", "position", "word", "layer", "head"];
  var told = "";
  function tell(context2) {
    if (window.parent === window) return;
    const chosen2 = { ...Object.fromEntries(NAMES2.map((name) => [name, state[name]])), threshold: context2.threshold };
    const words2 = JSON.stringify(chosen2);
    if (words2 === told) return;
    told = words2;
    window.parent.postMessage({ jaxflow: chosen2 }, "*");
  }
  function listen(set2) {
    window.addEventListener("message", (event) => {
      if (window.parent === window || event.source !== window.parent) return;
      const changes = understood(event.data?.jaxflow);
      if (Object.keys(changes).length) set2(changes);
    });
  }
  function understood(asked) {
    const changes = {};
    if (asked === null || typeof asked !== "object") return {};
    for (const [name, value] of Object.entries(asked)) {
      const known2 = name === "threshold" || NAMES2.includes(
        /** @type {any} */
        name
      );
      if (!known2) continue;
      const [, first, read] = FIELDS[name];
      const found = value === null ? null : read(String(value));
      if (found !== void 0 && (found !== null || first === null)) changes[name] = found;
    }
    return changes;
  }

  // src/explorer/tip.js
  function showTip([heading, ...rows], x, y) {
    const tip = byId("tooltip");
    tip.replaceChildren(
      make("strong", {}, ...textNodes(heading)),
      ...rows.map(
        ([name, text]) => make("div", {}, make("span", { className: "name" }, name), ...textNodes(String(text)))
      )
    );
    tip.hidden = false;
    since = performance.now();
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x + 14, document.documentElement.clientWidth - box.width - 8))}px`;
    tip.style.top = `${y + 18 + box.height > window.innerHeight ? Math.max(4, y - box.height - 10) : y + 18}px`;
  }
  var since = 0;
  var STAYS = 400;
  function scrolledAway() {
    if (performance.now() - since > STAYS) hideTip();
  }
  function hideTip() {
    byId("tooltip").hidden = true;
  }

  // src/explorer/pointer.js
  var REACH = 6;
  var probe = penOf(make("canvas", { width: 1, height: 1 }));
  function markAt(scene, x, y) {
    for (let index = scene.marks.length - 1; index >= 0; index -= 1) {
      const mark = scene.marks[index];
      const found = covers(mark, x - (mark.shift?.[0] ?? 0), y - (mark.shift?.[1] ?? 0));
      if (found) return found === true ? mark : found;
    }
    return null;
  }
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
  function coversText(mark, x, y) {
    probe.font = fontOf(mark);
    const turn2 = -(mark.turn ?? 0) * Math.PI / 180;
    const width = probe.measureText(mark.text).width;
    const half = (mark.size ?? 11) * 0.65;
    const along = (x - mark.x) * Math.cos(turn2) - (y - mark.y) * Math.sin(turn2);
    const across = (x - mark.x) * Math.sin(turn2) + (y - mark.y) * Math.cos(turn2);
    const start = { start: 0, middle: -width / 2, end: -width }[mark.anchor ?? "start"];
    return along >= start && along <= start + width && Math.abs(across) <= half;
  }
  function coversPath(mark, x, y) {
    const line = Math.max(REACH, mark.line ?? 1);
    const [left, top, right, bottom] = mark.bounds ??= boundsOf(dOf(mark));
    if (x < left - line || x > right + line || y < top - line || y > bottom + line) return false;
    probe.lineWidth = line;
    tracePath(probe, mark);
    return probe.isPointInStroke(x, y);
  }
  function boundsOf(d) {
    const numbers = (d.match(/-?[\d.]+(?:e-?\d+)?/g) ?? []).map(Number);
    const even = numbers.filter((_, at) => at % 2 === 0);
    const odd = numbers.filter((_, at) => at % 2);
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
  var isTouch = (event) => (
    /** @type {PointerEvent} */
    event.pointerType === "touch"
  );
  function pointedAway(panel) {
    highlight(panel, null);
    hideTip();
  }
  function highlight(panel, mark) {
    const found = mark?.glows && mark.kind === "path" ? mark : null;
    if (panel.glowing === found) return;
    panel.glowing = found;
    panel.svg.replaceChildren();
    panel.svg.toggleAttribute("hidden", !found);
    if (!found) return;
    const { width, height } = (
      /** @type {Scene} */
      panel.scene
    );
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height }))
      panel.svg.setAttribute(name, String(value));
    const element = document.createElementNS(SVG, TAGS[found.kind]);
    for (const [name, value] of Object.entries(attributesOf({ ...found, opacity: 1, dash: null })))
      if (value != null) element.setAttribute(name, String(value));
    panel.svg.append(element);
  }

  // src/explorer/uses.js
  var ARC_FIELDS = [
    "sentence",
    "models",
    "strength",
    "trace",
    "threshold",
    "position",
    "word",
    "from",
    "to",
    "heads",
    "special"
  ];
  var SEEN = ["sentence", "models", "layer", "position", "word", "special"];
  var stateKey = (fields) => JSON.stringify(fields.map((name) => state[
    /** @type {keyof State} */
    name
  ]));

  // src/explorer/views/ask.js
  var d38 = __toESM(require_d3(), 1);

  // src/shared/base64.js
  function bytesOf(base64) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
    const text = atob(base64);
    const found = new Uint8Array(text.length);
    for (let index = 0; index < found.length; index += 1) found[index] = text.charCodeAt(index);
    return found;
  }
  var floatsOf = (base64) => new Float32Array(bytesOf(base64).buffer);

  // src/explorer/head_values.js
  var d37 = __toESM(require_d3(), 1);

  // src/explorer/measures.js
  var d36 = __toESM(require_d3(), 1);
  function toWord(side, layer, head, word, position = null) {
    if (word === null) return NaN;
    if (position !== null) return side.weight(layer, head, position, word);
    let sum6 = 0;
    for (let asking = 0; asking < side.size; asking += 1) sum6 += side.weight(layer, head, asking, word);
    return sum6 / side.size;
  }
  function offset(side, layer, head, by) {
    const positions = d36.range(Math.max(0, -by), Math.min(side.size, side.size - by));
    return d36.mean(positions, (position) => side.weight(layer, head, position, position + by)) ?? NaN;
  }
  function entropyOf(matrix, size) {
    let sum6 = 0;
    for (const weight of matrix) if (weight > 0) sum6 -= weight * Math.log2(weight);
    return sum6 / size;
  }

  // src/explorer/head_values.js
  var HEAD_VALUES = {
    "to the word": (side, layer, head) => toWord(side, layer, head, state.word, state.asked === "position" ? state.position : null),
    "from the position": (side, layer, head) => d37.max(d37.range(side.size), (token) => side.weight(layer, head, state.position, token)) ?? NaN,
    "to itself": (side, layer, head) => offset(side, layer, head, 0),
    "to the previous": (side, layer, head) => offset(side, layer, head, -1),
    "to the next": (side, layer, head) => offset(side, layer, head, 1),
    "to special tokens": (side, layer, head) => d37.sum(side.source, (source, token) => source < 0 ? toWord(side, layer, head, token) : 0),
    entropy: (side, layer, head) => entropyOf(side.head(layer, head), side.size)
  };
  function headValues(context2, measure) {
    const table = (side, value) => d37.range(side.layers).map((layer) => d37.range(side.heads).map((head) => value(layer, head)));
    if (measure === "change")
      return [table(context2.sides[0], (layer, head) => context2.sentence.change?.[layer * HEADS + head] ?? NaN)];
    return context2.sides.map((side, at) => {
      if (!data.measures.includes(measure)) return table(side, (layer, head) => HEAD_VALUES[measure](side, layer, head));
      const found = headMeasure(context2.numbers[at], measure);
      return table(side, (layer, head) => found[layer * side.heads + head]);
    });
  }
  var measureCache = /* @__PURE__ */ new Map();
  function headMeasure(number, name) {
    const key = `${number} ${name}`;
    if (!measureCache.has(key)) measureCache.set(key, floatsOf(data.models[number].measures[name]));
    return measureCache.get(key);
  }

  // src/explorer/codes.js
  var HALF = Float32Array.from({ length: 65536 }, (_, bits) => {
    const sign = bits & 32768 ? -1 : 1;
    const exponent = bits >> 10 & 31;
    const fraction = bits & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  });
  var squares = (steps) => Float32Array.from({ length: 256 }, (_, level) => (level / steps) ** 2);
  var SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%/()*+-;,=.?@^_:{|}~";
  var PLACES = Uint8Array.from({ length: 128 }, (_, code) => Math.max(0, SIGNS.indexOf(String.fromCharCode(code))));
  function unsigned(text) {
    const groups = Math.ceil(text.length / 5);
    const found = new Uint8Array(4 * groups);
    for (let group = 0; group < groups; group += 1) {
      let value = 0;
      for (let at = 5 * group; at < 5 * group + 5; at += 1)
        value = 85 * value + (at < text.length ? PLACES[text.charCodeAt(at)] : 84);
      for (let place = 0; place < 4; place += 1) found[4 * group + place] = value >>> 24 - 8 * place;
    }
    return found.subarray(0, found.length - (5 * groups - text.length));
  }
  function halves(packed, bits, layers, queries, size) {
    const count = layers * queries * size;
    const found = new Uint16Array(count);
    for (let index = 0; index < count; index += 1) {
      const folded = packed[index] | packed[count + index] << 8;
      const first = index % (queries * size) < size;
      found[index] = (folded >> 1 ^ -(folded & 1)) + (first ? 0 : found[index - size]);
    }
    return found.map((code) => code << 10 - bits);
  }
  function looked(codes, table, start, count) {
    const found = new Float32Array(count);
    for (let index = 0; index < count; index += 1) found[index] = table[codes[start + index]];
    return found;
  }
  async function inflated(text) {
    const stream = new DecompressionStream("deflate");
    const writer = stream.writable.getWriter();
    const written = writer.write(unsigned(text)).then(() => writer.close());
    const parts = [];
    let size = 0;
    for (const reader = stream.readable.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      size += value.length;
    }
    await written;
    const found = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
      found.set(part, at);
      at += part.length;
    }
    return found;
  }

  // src/explorer/side.js
  var Side = class {
    /**
     * @param {SideMeta} meta
     * @param {string[]} methods
     * @param {Record<string, number[]>} queries
     * @param {Kept} kept
     * @param {Uint8Array} packed
     * @param {{ layers: number, heads: number }} options
     */
    constructor(meta, methods, queries, kept, packed, { layers, heads }) {
      this.layers = layers;
      this.heads = heads;
      this.tokens = meta.tokens;
      this.source = meta.source;
      this.pieces = meta.pieces;
      this.joined = meta.joined;
      this.prediction = meta.prediction;
      this.probabilities = meta.probabilities;
      this.loss = meta.loss;
      this.scales = meta.scales;
      this.told = meta.apart;
      this.carried = meta.carried;
      this.picture = meta.picture;
      this.size = meta.tokens.length;
      this.words = meta.tokens.map(shown);
      this.queries = queries;
      this.every = Array.from(meta.tokens, (_, position) => position);
      this.values = {};
      let start = 0;
      for (const method of methods.filter((name) => !kept.fused.includes(name))) {
        const queries2 = this.asked(method).length;
        this.values[method] = halves(packed.subarray(start), kept.bits, layers, queries2, this.size);
        start += 2 * layers * queries2 * this.size;
      }
      this.attention = packed.subarray(start);
      this.squares = squares(kept.steps);
      this.matrices = /* @__PURE__ */ new Map();
    }
    /**
     * Positions that a method was asked for.
     *
     * @param {string} method
     * @returns {number[]}
     */
    asked(method) {
      return this.queries[method] ?? this.every;
    }
    /**
     * What each token is worth to a position after a layer; null where the method was not asked for it.
     *
     * @param {string} method
     * @param {number} layer
     * @param {number} position
     * @returns {Row | null}
     */
    row(method, layer, position) {
      const asked = this.asked(method);
      const row = this.queries[method] ? asked.indexOf(position) : position;
      if (row < 0) return null;
      if (!this.values[method]) return this.matrix(method, layer).slice(row * this.size, (row + 1) * this.size);
      return this.scaled(method, looked(this.values[method], HALF, (layer * asked.length + row) * this.size, this.size));
    }
    /**
     * Numbers as the model has them, in place.
     *
     * @param {string} method
     * @param {Row} row
     * @returns {Row}
     */
    scaled(method, row) {
      const scale = this.scales[method];
      if (scale) for (let index = 0; index < row.length; index += 1) row[index] *= scale;
      return row;
    }
    /**
     * How many tokens a flow tells apart, or null where it tells all, or is none.
     *
     * @param {string} method
     * @param {number} layer
     * @param {number} position
     */
    apart(method, layer, position) {
      const query = this.queries[method] ? this.asked(method).indexOf(position) : position;
      const apart = this.told[method]?.[layer]?.[query];
      return apart === void 0 || apart === this.size ? null : apart;
    }
    /**
     * A method's matrix of a layer, a row a position (NaN where it was not asked for).
     *
     * @param {string} method
     * @param {number} layer
     * @returns {Row}
     */
    matrix(method, layer) {
      return this.kept(`${method} ${layer}`, () => {
        if (!this.values[method])
          return this.mean(
            layer,
            Array.from({ length: this.heads }, (_, head) => head)
          );
        if (!this.queries[method])
          return this.scaled(method, looked(this.values[method], HALF, layer * this.size ** 2, this.size ** 2));
        const found = new Float32Array(this.size ** 2).fill(NaN);
        for (const position of this.asked(method))
          found.set(this.row(method, layer, position) ?? [], position * this.size);
        return found;
      });
    }
    /**
     * Attention of one head: a row a position.
     *
     * @param {number} layer
     * @param {number} head
     * @returns {Row}
     */
    head(layer, head) {
      const area = this.size ** 2;
      const start = (layer * this.heads + head) * area;
      return this.kept(`head ${layer} ${head}`, () => {
        const found = new Float32Array(area);
        for (let token = 0; token < this.size; token += 1)
          for (let position = 0; position < this.size; position += 1)
            found[position * this.size + token] = this.squares[this.attention[start + token * this.size + position]];
        return found;
      });
    }
    /**
     * @param {number} layer
     * @param {number} head
     * @param {number} position
     * @param {number} token
     */
    weight(layer, head, position, token) {
      return this.squares[this.attention[((layer * this.heads + head) * this.size + token) * this.size + position]];
    }
    /**
     * The mean of some heads of a layer.
     *
     * @param {number} layer
     * @param {number[]} heads
     * @returns {Row}
     */
    mean(layer, heads) {
      return this.kept(`mean ${layer} ${heads}`, () => {
        const sum6 = new Float32Array(this.size ** 2);
        for (const head of heads) {
          const weights = this.head(layer, head);
          for (let index = 0; index < sum6.length; index += 1) sum6[index] += weights[index] / heads.length;
        }
        return sum6;
      });
    }
    /**
     * @param {string} key
     * @param {() => Row} makeIt
     * @returns {Row}
     */
    kept(key, makeIt) {
      const known2 = this.matrices.get(key) ?? makeIt();
      this.matrices.set(key, known2);
      return known2;
    }
  };

  // src/explorer/load.js
  var KEPT = 12;
  var loaded = /* @__PURE__ */ new Map();
  async function block(id) {
    while (document.readyState === "loading" && !byId(id)?.nextSibling) await new Promise((done) => setTimeout(done, 10));
    return byId(id).textContent;
  }
  async function load(index) {
    if (!loaded.has(index)) {
      const meta = data.sentences[index];
      const sides = meta.sides.map(async (side, number) => {
        const whole2 = number ? { ...meta.sides[0], ...side } : side;
        return new Side(
          whole2,
          data.methods,
          meta.queries,
          meta.kept,
          await inflated(await block(`numbers-${index}-${number}`)),
          data.models[number]
        );
      });
      loaded.set(
        index,
        Promise.all(sides).then((found) => ({ ...meta, index, sides: found }))
      );
      if (loaded.size > KEPT) loaded.delete(loaded.keys().next().value);
    }
    return loaded.get(index);
  }

  // src/explorer/views/ask.js
  var ASKED = 16;
  function askView(context2, width) {
    if (state.word === null)
      return emptyScene(width, inUnits("Choose a word, by a click on it anywhere, by Search, or by the keys < and >."));
    const tables = askTables(context2);
    if (!tables) return emptyScene(width, inUnits("Looking at all sentences …"));
    const rows = askRows(context2, tables.values).slice(0, ASKED);
    const label = 62;
    const bar = rows[0].values.length === 2 ? 10 : 13;
    const row = rows[0].values.length * bar + 5;
    const x = linear([0, d38.max(rows.flatMap(({ values: values2 }) => values2)) || 1], [label, width - 56]);
    const marks = [];
    rows.forEach(({ layer, head, values: values2, at }, place) => {
      const y = 8 + place * row;
      const is = { layer: layer + 1, head: head + 1 };
      const shownNow = state.layer === layer + 1 && state.head === head + 1;
      const names = at === void 0 ? context2.names : [context2.names[at]];
      const tip = () => [
        `head ${head + 1} of layer ${layer + 1} to ${context2.words[state.word ?? 0]}`,
        ["who", ASKERS[state.asked]],
        ...perModel({ names }, values2)
      ];
      marks.push({
        kind: "text",
        x: label - 8,
        y: y + row / 2 - 2,
        text: `L${layer + 1} H${head + 1}`,
        size: 11,
        anchor: "end",
        bold: shownNow,
        fill: shownNow ? colours().target : colours().fore,
        is,
        tip
      });
      values2.forEach((value, number) => {
        const fill2 = PAIR ? colours()["ab"[context2.numbers[at ?? number]]] : colours().b;
        const top = y + number * bar;
        marks.push({
          kind: "rect",
          x: label,
          y: top,
          width: Math.max(0.5, x(value) - label),
          height: bar - 1,
          fill: fill2,
          is,
          tip
        });
        marks.push({
          kind: "text",
          x: x(value) + 4,
          y: top + bar / 2,
          text: digits(value),
          size: 9,
          fill: colours().soft
        });
      });
    });
    const word = context2.words[state.word ?? 0];
    const who = state.asked === "everywhere" ? `${tables.count} occurrences of ${word} in ${tables.sentences} ${inUnits("sentences")}` : `${word} at position ${state.word}`;
    const order = context2.diff && SAME_SHAPE ? "by the size of the change" : "the strongest first";
    const all = d38.sum(tables.values, (table) => table.length * table[0].length) / (SAME_SHAPE ? tables.values.length : 1);
    return {
      width,
      height: 16 + rows.length * row,
      marks,
      note: `Attention to ${who}, ${ASKERS[state.asked]}; ${order}. ${rows.length} of ${all} heads.${context2.diff ? noDifference(SAME_SHAPE) : ""}`,
      table: () => askTable(context2, tables.values)
    };
  }
  var ASKERS = {
    all: "mean over all positions",
    position: "of the chosen position",
    everywhere: "mean over all positions and occurrences"
  };
  function askRows(context2, tables) {
    const rowsOf = (table, values2, at) => table.flatMap((row, layer) => row.map((_, head) => ({ layer, head, at, values: values2(layer, head) })));
    const rows = SAME_SHAPE ? rowsOf(tables[0], (layer, head) => tables.map((table) => table[layer][head])) : tables.flatMap((table, at) => rowsOf(table, (layer, head) => [table[layer][head]], at));
    const key = ({ values: values2 }) => context2.diff && values2.length === 2 ? Math.abs(values2[1] - values2[0]) : Math.max(...values2);
    return rows.sort((one, other) => key(other) - key(one));
  }
  function askTable(context2, tables) {
    const token = [state.word, context2.sides[0].tokens[state.word ?? 0], state.asked];
    const rows = askRows(context2, tables);
    if (rows[0].at !== void 0)
      return [
        ["model", "layer", "head", "token", "token_text", "who", "value"],
        ...rows.map(({ layer, head, values: values2, at }) => [context2.names[at ?? 0], layer + 1, head + 1, ...token, ...values2])
      ];
    return [
      ["layer", "head", "token", "token_text", "who", ...valueNames(context2)],
      ...rows.map(({ layer, head, values: values2 }) => [layer + 1, head + 1, ...token, ...values2])
    ];
  }
  function askTables(context2) {
    if (state.asked !== "everywhere") return { values: headValues(context2, "to the word") };
    const token = context2.sides[0].tokens[state.word ?? 0];
    const found = everywhere(token);
    return found && { ...found, values: context2.numbers.map((number) => found.values[number]) };
  }
  var occurrences = /* @__PURE__ */ new Map();
  function everywhere(token) {
    if (!occurrences.has(token)) {
      occurrences.set(token, null);
      void countEverywhere(token).then((found) => {
        occurrences.set(token, found);
        return render();
      });
    }
    return occurrences.get(token);
  }
  async function countEverywhere(token) {
    const values2 = data.models.map(({ layers, heads }) => d38.range(layers).map(() => new Float64Array(heads)));
    let count = 0;
    let sentences = 0;
    for (const [index, meta] of data.sentences.entries()) {
      const places = meta.sides[0].tokens.flatMap((other, position) => other === token ? [position] : []);
      if (!places.length) continue;
      const { sides } = await load(index);
      count += places.length;
      sentences += 1;
      for (const place of places) {
        sides.forEach(
          (side, number) => values2[number].forEach(
            (row, layer) => row.forEach((_, head) => row[head] += toWord(side, layer, head, place))
          )
        );
      }
    }
    return { count, sentences, values: values2.map((table) => table.map((row) => Array.from(row, (sum6) => sum6 / count))) };
  }
  var ask = {
    name: "ask",
    column: 1,
    title: "Who attends to the word",
    help: "The heads that attend to it most",
    draw: askView,
    waits: (context2) => state.asked === "everywhere" && Boolean(occurrences.get(context2.sides[0].tokens[state.word ?? 0])),
    uses: [...SEEN, "asked", "head"],
    fields: { asked: ["ask", "all", among("all", "position", "everywhere")] },
    controls: () => [
      segment("asked", [
        ["all", "all positions", "mean over the positions that ask (key q)"],
        ["position", "the position", "the chosen position asks"],
        ["everywhere", inUnits("all sentences"), "mean over all occurrences of the word"]
      ])
    ],
    keys: [[["q"], "next way of asking who attends to the word", cycle("asked", ["all", "position", "everywhere"])]]
  };

  // src/explorer/views/grid.js
  var d310 = __toESM(require_d3(), 1);

  // src/explorer/views/plates.js
  var d39 = __toESM(require_d3(), 1);
  function patternOf(side, step) {
    const { size, attention, layers, heads } = side;
    const canvas = make("canvas", { width: step * heads, height: step * layers });
    const pen = penOf(canvas);
    const image = pen.createImageData(canvas.width, canvas.height);
    const lookup = pixels("sequential");
    const out = new Uint32Array(image.data.buffer);
    let byte = 0;
    for (let layer = 0; layer < layers; layer += 1) {
      for (let head = 0; head < heads; head += 1) {
        for (let position = 0; position < size; position += 1) {
          const start = (layer * step + position) * canvas.width + head * step;
          for (let token = 0; token < size; token += 1) out[start + token] = lookup[attention[byte++]];
        }
      }
    }
    pen.putImageData(image, 0, 0);
    return canvas;
  }
  var plateCache = { key: "", plates: [] };
  function patternPlates(context2) {
    const key = [context2.sentence.index, state.models, themeNow()].join(" ");
    if (plateCache.key === key) return plateCache.plates;
    const { size, sides } = context2;
    const step = size + 1;
    const tables = context2.diff && SAME_SHAPE ? [null] : sides;
    const plates = tables.map((side, number) => {
      const value = (row, column) => {
        const layer = Math.floor(row / step);
        const head = Math.floor(column / step);
        const position = row % step;
        const token = column % step;
        if (position === size || token === size) return NaN;
        return sides[1].weight(layer, head, position, token) - sides[0].weight(layer, head, position, token);
      };
      const canvas = side ? patternOf(side, step) : rasterOf(
        step * HEADS,
        step * LAYERS,
        value,
        "diverging",
        (share) => Math.round(128 + 127 * Math.sign(share) * Math.sqrt(Math.abs(share)))
      );
      const lines = (layer, head) => sides.flatMap(
        (other, at) => layer < other.layers && head < other.heads ? [
          /** @type {TipLine} */
          [
            context2.names[at],
            `entropy ${digits(entropyOf(other.head(layer, head), size))} bits`
          ]
        ] : []
      );
      const { layers, heads } = side ?? sides[0];
      return {
        layers,
        heads,
        title: side ? context2.names[number] : `${context2.names[1]} − ${context2.names[0]}`,
        canvas,
        lines
      };
    });
    Object.assign(plateCache, { key, plates });
    return plates;
  }
  function valuePlates(context2, measure) {
    const tables = headValues(context2, measure);
    const diff = context2.diff && tables.length === 2 && SAME_SHAPE;
    const shownTables = diff ? [tables[1].map((row, layer) => row.map((value, head) => value - tables[0][layer][head]))] : tables;
    const top = d39.max(
      shownTables.flat(2).filter((value) => !Number.isNaN(value)).map(Math.abs)
    ) || 1;
    return shownTables.map((table, number) => ({
      layers: table.length,
      heads: table[0].length,
      title: tables.length === 1 ? measure : diff ? `${measure}: ${context2.names[1]} − ${context2.names[0]}` : `${measure}: ${context2.names[number]}`,
      texts: table.map((row) => row.map((value) => valueText(value, top, diff))),
      lines: (layer, head) => tables.length === 1 && context2.sides.length === 2 ? [[measure, digits(tables[0][layer][head])]] : perModel(
        context2,
        tables.map((each) => each[layer]?.[head])
      )
    }));
  }
  function valueText(value, top, diff) {
    if (Number.isNaN(value)) return { text: "–", fill: colours().back, ink: colours().soft };
    const fill2 = diff ? diverging(value / top) : sequential(Math.abs(value) / top);
    const size = Math.abs(value);
    const text = size.toFixed(size >= 9.95 ? 0 : size >= 0.995 ? 1 : 2).replace(/^0\./, ".");
    return { text: value < 0 && Number(text) ? `−${text}` : text, fill: fill2, ink: inkOn(fill2) };
  }
  var ROLE_FILLS = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999"];
  function roleText(role, place) {
    const fill2 = role ? ROLE_FILLS[place % ROLE_FILLS.length] : colours().back;
    return { text: role ? short(role, 7) : "·", fill: fill2, ink: inkOn(fill2) };
  }
  function rolePlates(context2) {
    const all = [...new Set((data.roles ?? []).flat(2))].filter(Boolean).sort();
    return context2.numbers.map((number, at) => ({
      layers: (data.roles ?? [])[number].length,
      heads: (data.roles ?? [])[number][0].length,
      title: `role: ${context2.names[at]}`,
      texts: (data.roles ?? [])[number].map((row) => row.map((role) => roleText(role, all.indexOf(role)))),
      lines: (layer, head) => context2.numbers.map((other, place) => [
        context2.names[place],
        (data.roles ?? [])[other][layer]?.[head] || "no role"
      ])
    }));
  }

  // src/explorer/views/grid.js
  var MEASURES = [
    "pattern",
    ...PAIR && SAME_SHAPE ? ["change"] : [],
    ...data.measures,
    ...data.roles ? ["role"] : [],
    "to the word",
    "from the position",
    "to itself",
    "to the previous",
    "to the next",
    "to special tokens",
    "entropy"
  ];
  var MEASURE_HELP = {
    pattern: "attention of each head, a row a position",
    change: "Jensen-Shannon distance of the models' attention, mean over positions",
    "to the word": "attention to the chosen word, mean over the positions that ask",
    "from the position": "the largest weight of the chosen position",
    "to itself": "attention to the position itself, mean over positions",
    "to the previous": "attention to the position before, mean over positions",
    "to the next": "attention to the position after, mean over positions",
    "to special tokens": "attention to special tokens, mean over positions",
    entropy: "entropy of the attention in bits, mean over positions",
    role: "the head's role, as the comparison found it"
  };
  function gridView(context2, width, tall) {
    const measure = state.measure;
    const plates = measure === "pattern" ? patternPlates(context2) : measure === "role" ? rolePlates(context2) : valuePlates(context2, measure);
    const across = plates.length > 1 && width > 470 ? plates.length : 1;
    const label = 24;
    const gap = 14;
    const cell = Math.max(
      12,
      Math.min(
        measure === "pattern" ? 60 : 46,
        (width / across - label - gap) / (d310.max(plates, ({ heads }) => heads) ?? 1),
        ((tall ?? 640) / Math.ceil(plates.length / across) - 50) / LAYERS
      )
    );
    const marks = [];
    const down = cell * (d310.max(plates, ({ layers }) => layers) ?? 1) + 50;
    plates.forEach((plate, number) => {
      const { layers, heads } = plate;
      const x = number % across * (width / across) + label;
      const y = Math.floor(number / across) * down + 36;
      marks.push({
        kind: "text",
        x,
        y: y - 26,
        text: short(plate.title, Math.max(14, Math.floor(cell * heads / 6.2))),
        size: 11,
        bold: true
      });
      if (plate.canvas)
        marks.push({
          kind: "raster",
          canvas: plate.canvas,
          x,
          y,
          width: cell * heads,
          height: cell * layers,
          at: (shareX, shareY) => gridCell(plate, Math.floor(shareY * layers), Math.floor(shareX * heads))
        });
      marks.push(...gridFrames(plate, { x, y, cell }));
    });
    const note = `${MEASURE_HELP[measure] ?? measure}. A click shows a head, with Shift it is chosen or left out.${context2.diff && measure !== "role" ? noDifference(SAME_SHAPE) : ""}`;
    return {
      width,
      height: Math.ceil(plates.length / across) * down,
      marks,
      note: note.charAt(0).toUpperCase() + note.slice(1),
      table: () => gridTable(context2)
    };
  }
  function gridFrames(plate, { x, y, cell }) {
    const names = headNames();
    const marks = [];
    for (let layer = 1; layer <= plate.layers; layer += 1) {
      marks.push({
        kind: "text",
        x: x - 6,
        y: y + (layer - 0.5) * cell,
        text: String(layer),
        size: 10,
        anchor: "end",
        bold: layer === state.layer,
        fill: colours().soft,
        is: { layer }
      });
      for (let head = 1; head <= plate.heads; head += 1) {
        if (layer === 1)
          marks.push({
            kind: "text",
            x: x + (head - 0.5) * cell,
            y: y - 9,
            text: String(head),
            size: 10,
            anchor: "middle",
            fill: colours().soft
          });
        const box = { kind: "rect", x: x + (head - 1) * cell, y: y + (layer - 1) * cell, width: cell, height: cell };
        const text = plate.texts?.[layer - 1][head - 1];
        if (text)
          marks.push(
            { ...box, fill: text.fill, ...gridCell(plate, layer - 1, head - 1) },
            {
              kind: "text",
              x: box.x + cell / 2,
              y: box.y + cell / 2,
              text: short(text.text, Math.max(2, Math.floor(cell / (0.6 * Math.max(7, Math.min(11, cell / 4)))))),
              size: Math.max(7, Math.min(11, cell / 4)),
              anchor: "middle",
              fill: text.ink,
              quiet: true
            }
          );
        if (names.has(`${layer}.${head}`))
          marks.push({
            ...box,
            x: box.x + 1.5,
            y: box.y + 1.5,
            width: cell - 3,
            height: cell - 3,
            stroke: colours().word,
            line: 2.5,
            quiet: true
          });
        if (layer === state.layer && head === state.head)
          marks.push({ ...box, stroke: colours().target, line: 2.5, quiet: true });
      }
    }
    return marks;
  }
  function gridCell(plate, layer, head) {
    return {
      is: { layer: layer + 1, head: head + 1 },
      tip: () => [`head ${head + 1} of layer ${layer + 1}`, ...plate.lines(layer, head)]
    };
  }
  function gridTable(context2) {
    const { measure } = state;
    const both = context2.sides.length === 2;
    const every = d310.cross(
      d310.range(d310.max(context2.sides, ({ layers }) => layers) ?? 0),
      d310.range(d310.max(context2.sides, ({ heads }) => heads) ?? 0)
    );
    if (measure === "role")
      return [
        ["layer", "head", ...context2.names],
        ...every.map(([layer, head]) => [
          layer + 1,
          head + 1,
          ...context2.numbers.map((number) => (data.roles ?? [])[number][layer]?.[head])
        ])
      ];
    if (measure === "pattern") return patternTable(context2, every);
    const tables = headValues(context2, measure);
    const names = tables.length === 1 ? [measure] : both ? ["first", "second"] : [measure];
    return [
      ["layer", "head", ...names],
      ...every.map(([layer, head]) => [layer + 1, head + 1, ...tables.map((table) => table[layer]?.[head])])
    ];
  }
  function patternTable(context2, every) {
    const rows = [["layer", "head", "position", "token", ...valueNames(context2)]];
    for (const [layer, head] of every) {
      for (let position = 0; position < context2.size; position += 1) {
        for (let token = 0; token < context2.size; token += 1)
          rows.push([
            layer + 1,
            head + 1,
            position,
            token,
            ...context2.sides.map(
              (side) => layer < side.layers && head < side.heads ? side.weight(layer, head, position, token) : null
            )
          ]);
      }
    }
    return rows;
  }
  var grid = {
    name: "grid",
    column: 1,
    title: "Head grid",
    help: "Layers by heads",
    draw: gridView,
    uses: [...SEEN, "measure", "head", "heads", "asked"],
    fields: { measure: ["grid", "pattern", among(...MEASURES)] },
    controls: () => [
      chooser(
        "measure",
        MEASURES.map((name) => [name, inUnits(name)]),
        "What the grid shows (key g)"
      )
    ],
    keys: [[["g"], "next measure of the head grid", cycle("measure", MEASURES)]],
    arrows: {
      ArrowUp: stepped("layer", -1, 1, () => LAYERS),
      ArrowDown: stepped("layer", 1, 1, () => LAYERS),
      ArrowLeft: stepped("head", -1, 0, () => HEADS),
      ArrowRight: stepped("head", 1, 0, () => HEADS)
    }
  };

  // src/explorer/labels.js
  var TURNED = 14;
  var nameIn = (word, most) => short(word.length > most ? word.replace(/^patch (?=\d+,\d+$)/, "") : word, most);
  function withRoom(size, apart, chosen2, needs = TURNED) {
    const every = Math.ceil(needs / Math.max(0.1, apart));
    const clear = (place) => chosen2.every((other) => other === null || Math.abs(other - place) >= every);
    return Array.from({ length: size }, (_, place) => place).filter(
      (place) => chosen2.includes(place) || place % every === 0 && clear(place)
    );
  }
  function movedApart(wanted2, gap, low, high) {
    const places = [...wanted2];
    for (let at = 0; at < places.length; at += 1) places[at] = Math.max(places[at], at ? places[at - 1] + gap : low);
    for (let at = places.length - 1; at >= 0; at -= 1)
      places[at] = Math.min(places[at], at + 1 < places.length ? places[at + 1] - gap : high);
    return places;
  }

  // src/explorer/marks.js
  var ofStrongest = (context2, value) => Math.min(1.4, value / (context2.strongest || 1));
  var arcLine = (context2, value) => 0.6 + 5 * Math.sqrt(ofStrongest(context2, value));
  function arcMark(context2, arc, trace) {
    const share = Math.min(1, ofStrongest(context2, arc.value));
    const stroke = colours()[arc.kind] ?? colours()[PAIR ? "ab"[context2.numbers[0]] : "b"];
    return {
      kind: "path",
      trace,
      stroke,
      line: arcLine(context2, arc.value),
      opacity: 0.3 + 0.6 * Math.sqrt(share),
      dash: DASH[arc.kind],
      glows: true,
      arc: arc.kind,
      is: { layer: arc.layer, ...arc.layer === context2.from ? { word: arc.from } : {} },
      tip: () => arcTip(context2, arc)
    };
  }
  var STRENGTH = {
    attention: { any: "attention" },
    share: { back: "share of the position", forward: "share from the word", both: "share of the position from the word" },
    flow: { any: "flow from the word to the position" }
  };
  var strengthName = ({ strength, trace }) => inUnits(STRENGTH[strength][trace] ?? STRENGTH[strength].any);
  var strongerIn = (name, diff) => diff ? `stronger in ${name}` : `twice as strong in ${name}, or more`;
  function arcTip(context2, arc) {
    const { words: words2 } = context2;
    const values2 = context2.sides.length === 2 ? [arc.a, arc.b] : [arc.a];
    const kind = {
      only: "",
      shared: "alike in both models",
      a: strongerIn(data.models[0].name, context2.diff),
      b: strongerIn(data.models[1]?.name, context2.diff)
    }[arc.kind];
    return [
      `${words2[arc.from]} (${arc.from}) → ${words2[arc.to]} (${arc.to})`,
      ["layer", arc.layer],
      ["what", strengthName(context2)],
      ...perModel(context2, values2),
      ...kind ? [
        /** @type {[string, string]} */
        ["strength", kind]
      ] : []
    ];
  }
  function nodeMark(context2, step, position, { x, y }, value) {
    const isWord = step === 0;
    const chosen2 = isWord && position === state.word;
    const r = context2.strength === "attention" ? value ? 2 : 0.8 : 0.8 + 6 * Math.sqrt(Math.max(0, value));
    return {
      kind: "circle",
      x,
      y,
      r,
      fill: chosen2 ? colours().word : colours().fore,
      opacity: value ? 0.75 : 0.3,
      is: isWord ? { word: position } : { position, layer: context2.from - 1 + step },
      tip: () => nodeTip(context2, step, position)
    };
  }
  var isSmall = (mark) => mark.r < 1.8 && mark.is?.word === void 0;
  var dotsMark = (nodes) => ({
    kind: "path",
    trace: (pen) => nodes.forEach(({ x, y }) => lineFrom(x, y, x + 0.01, y)(pen)),
    stroke: colours().fore,
    line: 1.8,
    cap: "round",
    opacity: 0.3,
    quiet: true
  });
  function nodeTip(context2, step, position) {
    const layer = context2.from - 1 + step;
    const lines = context2.strength === "attention" ? [] : perModel(
      context2,
      context2.graphs.map(({ nodes }) => nodes[step][position])
    );
    return [
      `${context2.words[position]} at position ${position}`,
      [layer ? "after layer" : "input", layer ? layer : inUnits("the word")],
      ...lines.length ? [
        /** @type {[string, string]} */
        ["what", strengthName(context2)]
      ] : [],
      ...lines
    ];
  }
  function wordTip(context2, token) {
    const lines = perModel(
      context2,
      valuesOf(context2, state.method).map((row) => row?.[token])
    );
    return [
      `${context2.words[token]} at position ${token}`,
      ["what", `${state.method} to position ${state.position}, ${layerName(context2)}`],
      ...lines
    ];
  }
  function wordLook(context2, token) {
    if (token === state.word) return { fill: colours().word, bold: true };
    if (token === state.position) return { fill: colours().target, bold: true };
    return { fill: context2.sides[0].source[token] < 0 ? colours().soft : colours().fore };
  }
  var plain = (context2, token) => context2.sides[0].source[token] >= 0;
  function arcsNote(context2) {
    const { arcs, counts, over, own, threshold, size, from, to } = context2;
    const parts = [
      `${over - own} arcs between positions of at least ${digits(threshold)}`,
      ...own ? [`${own} from a position to itself`] : [],
      ...over > arcs.length ? [`the strongest ${arcs.length} drawn`] : []
    ];
    if (context2.sides.length === 2) {
      const [a, b] = data.models.map((model) => model.name);
      if (context2.diff) parts.push(`stronger in ${b}: ${counts.b}, in ${a}: ${counts.a}`);
      else
        parts.push(
          `alike in both: ${counts.shared}, at least twice as strong in ${a}: ${counts.a}, in ${b}: ${counts.b}`
        );
    }
    if (context2.strength === "flow" && context2.sides.length) {
      const values2 = context2.graphs.map((graph) => digits(graph.value));
      parts.push(`maximum flow ${values2.join(" and ")}`);
    }
    if (state.strength === "flow" && state.word === null)
      parts.push(inUnits("a flow needs a word: choose one (shares are shown until then)"));
    if (state.special !== "1" && context2.sides[0].source.some((place) => place < 0))
      parts.push(`special tokens left out`);
    return `${strengthName(context2)}, layers ${from} to ${to}, ${size} positions: ${parts.join("; ")}.`;
  }
  function arcsTable(context2) {
    const both = context2.sides.length === 2;
    const head = ["layer", "from_position", "from_token", "to_position", "to_token", ...valueNames(context2), "kind"];
    const token = (position) => context2.sides[0].tokens[position];
    return [
      head,
      ...arcsOver(context2).map((arc) => [
        arc.layer,
        arc.from,
        token(arc.from),
        arc.to,
        token(arc.to),
        ...both ? [arc.a, arc.b] : [arc.a],
        arc.kind
      ])
    ];
  }

  // src/explorer/views/by_layer.js
  var d311 = __toESM(require_d3(), 1);
  function layersView(context2, width) {
    const { size, words: words2 } = context2;
    const label = 84;
    const row = size > 40 ? 12 : 17;
    const diff = context2.diff && SAME_DEPTH;
    const y = context2.sides.length > 1 && !diff ? 44 : 30;
    const groupsOf = (method) => {
      const rows = context2.sides.map(
        (side) => d311.range(side.layers).map((layer) => side.row(method, layer, state.position))
      );
      if (diff)
        return [
          {
            method,
            title: `${method}: change`,
            diverging: true,
            rows: rows[1].map((values2, layer) => changeOf([rows[0][layer], values2]))
          }
        ];
      return rows.map((values2, number) => ({
        method,
        title: number ? "" : method,
        diverging: false,
        rows: values2,
        number
      }));
    };
    const groups = data.methods.flatMap((method) => groupsOf(method));
    const gap = 10;
    const column = (width - label - gap * groups.length) / d311.sum(groups, ({ rows }) => rows.length);
    const marks = [];
    let x = label - gap;
    groups.forEach((group, number) => {
      const layers = group.rows.length;
      const room = Math.max(5, Math.floor(column * layers / 6.4));
      x += gap + (number ? column * groups[number - 1].rows.length : 0);
      const top = d311.max(
        groups.filter(({ method }) => method === group.method).flatMap(
          ({ rows }) => rows.flatMap(
            (values2) => Array.from(values2 ?? []).filter((_, token) => plain(context2, token) && token !== state.position).map(Math.abs)
          )
        )
      ) || 1;
      const level = group.diverging ? (value) => Math.round(128 + 127 * value / top) : (value) => Math.round(255 * value / top);
      const canvas = rasterOf(
        layers,
        size,
        (token, layer) => group.rows[layer]?.[token] ?? NaN,
        group.diverging ? "diverging" : "sequential",
        level
      );
      marks.push({ kind: "text", x, y: 10, text: short(group.title, 2 * room), size: 11, bold: true });
      if (y > 30)
        marks.push({
          kind: "text",
          x,
          y: 23,
          text: short(context2.names[group.number ?? 0], room),
          size: 10,
          fill: colours()["ab"[context2.numbers[group.number ?? 0]]]
        });
      marks.push({
        kind: "raster",
        canvas,
        x,
        y,
        width: column * layers,
        height: row * size,
        at: (shareX, shareY) => byLayerCell(context2, group, Math.floor(shareY * size), Math.floor(shareX * layers))
      });
      for (let layer = 0; layer < layers; layer += Math.ceil(11 / column))
        marks.push({
          kind: "text",
          x: x + (layer + 0.5) * column,
          y: y - 7,
          text: String(layer + 1),
          size: 9,
          anchor: "middle",
          fill: colours().soft,
          bold: layer + 1 === state.layer,
          is: { layer: layer + 1 }
        });
      marks.push({
        kind: "rect",
        x: x + (Math.min(state.layer, layers) - 1) * column,
        y,
        width: column,
        height: row * size,
        stroke: colours().fore,
        line: 1.2
      });
    });
    words2.forEach(
      (word, token) => marks.push({
        kind: "text",
        x: label - 6,
        y: y + (token + 0.5) * row,
        text: nameIn(word, 12),
        size: Math.min(11, row - 1),
        anchor: "end",
        ...wordLook(context2, token),
        is: { word: token },
        tip: () => wordTip(context2, token)
      })
    );
    return {
      width,
      height: y + row * size + 8,
      marks,
      note: `To position ${state.position}, ${words2[state.position]}: a column is a layer; each method has its own scale, special tokens may be over it.${context2.diff ? noDifference(diff) : ""}`,
      table: () => layersTable(context2)
    };
  }
  function byLayerCell(context2, group, token, layer) {
    const values2 = context2.sides.map((side) => layer < side.layers ? side.row(group.method, layer, state.position) : null).map((row) => row?.[token]);
    return {
      is: { word: token, layer: layer + 1 },
      tip: () => [
        `${context2.words[token]} (${token}) to position ${state.position}`,
        ["what", `${group.method}, layer ${layer + 1}`],
        ...perModel(context2, values2)
      ]
    };
  }
  function layersTable(context2) {
    const rows = [["method", "layer", "position", "token", "token_text", ...valueNames(context2)]];
    for (const method of data.methods) {
      for (let layer = 1; layer <= LAYERS; layer += 1) {
        const values2 = context2.sides.map(
          (side) => layer > side.layers ? null : side.row(method, layer - 1, state.position)
        );
        for (let token = 0; token < context2.size; token += 1)
          rows.push([
            method,
            layer,
            state.position,
            token,
            context2.sides[0].tokens[token],
            ...values2.map((row) => row?.[token])
          ]);
      }
    }
    return rows;
  }

  // src/explorer/views/heat.js
  var LEAST2 = 3;
  function heatView(context2, width, tall) {
    if (state.map === "layers") return layersView(context2, width);
    const found = heatMaps(context2);
    const { maps, top } = found;
    const { size, words: words2 } = context2;
    const label = 74;
    const room = (beside2) => (width / beside2 - label - 14) / size;
    const across = width > 470 && room(maps.length) >= LEAST2 ? maps.length : 1;
    const missing = maps.filter(({ matrix }) => !matrix);
    if (missing.length === maps.length) return emptyScene(width, missing.map(({ title }) => title).join("; "));
    const high = ((tall ?? 560) / Math.ceil(maps.length / across) - label - 26) / size;
    const cell = Math.min(26, room(across), Math.max(LEAST2, high));
    const extent = cell * size;
    const marks = [];
    maps.forEach((map, number) => {
      const x = number % across * (width / across) + label;
      const y = Math.floor(number / across) * (extent + label + 30) + 24;
      const level = map.diverging ? (value) => Math.round(128 + 127 * value / top) : (value) => Math.round(255 * value / top);
      marks.push({
        kind: "text",
        x,
        y: y - 12,
        text: short(map.title, Math.max(12, Math.floor((width / across - label) / 6.4))),
        size: 11,
        bold: true
      });
      const { matrix } = map;
      if (!matrix) return;
      const canvas = rasterOf(
        size,
        size,
        (row, column) => matrix[row * size + column],
        map.diverging ? "diverging" : "sequential",
        level
      );
      marks.push({
        kind: "raster",
        canvas,
        x,
        y,
        width: extent,
        height: extent,
        at: (shareX, shareY) => heatCell(context2, found, Math.floor(shareY * size), Math.floor(shareX * size))
      });
      marks.push({ kind: "rect", x, y, width: extent, height: extent, stroke: colours().line });
      marks.push(...heatLabels(context2, { x, y, cell, extent }));
      marks.push({
        kind: "rect",
        x,
        y: y + state.position * cell,
        width: extent,
        height: cell,
        stroke: colours().target,
        line: 1.5
      });
      if (state.word !== null)
        marks.push({
          kind: "rect",
          x: x + state.word * cell,
          y,
          width: cell,
          height: extent,
          stroke: colours().word,
          line: 1.5
        });
    });
    const height = Math.ceil(maps.length / across) * (extent + label + 30);
    const range13 = maps.some((map) => map.diverging) ? `from −${digits(top)} to ${digits(top)}` : `from 0 to ${digits(top)}`;
    return {
      width,
      height,
      marks,
      note: `A row is a position, a column a token; shades ${range13}. ${words2.length} tokens.${context2.diff ? noDifference(found.diff) : ""}`,
      table: () => heatTable(context2, found)
    };
  }
  function heatMaps(context2) {
    const chosen2 = headsChosen();
    const found = context2.sides.map((side) => {
      const layer = layerIn(side) - 1;
      if (state.map === "method") return side.matrix(state.method, layer);
      if (state.head > side.heads) return null;
      return state.head ? side.head(layer, state.head - 1) : fused(side, layer, chosen2);
    });
    const what = state.map === "method" ? state.method : state.head ? `head ${state.head}` : chosen2?.get(state.layer - 1) ? "heads chosen" : "heads fused";
    const title = (name, layer) => `${name}: ${what}, ${layer}`;
    const diff = context2.diff && layersMeet(context2) && found.every(Boolean);
    const maps = diff ? [
      {
        matrix: changeOf(found),
        title: title("change", layerName(context2)),
        diverging: true
      }
    ] : found.map((matrix, number) => ({
      matrix,
      title: matrix ? title(context2.names[number], `layer ${layerIn(context2.sides[number])}`) : `${context2.names[number]} has no head ${state.head}`,
      diverging: false
    }));
    let top = 0;
    for (const { matrix } of maps) {
      for (let index = 0; index < (matrix?.length ?? 0); index += 1) {
        const size = Math.abs(matrix?.[index] ?? 0);
        const token = index % context2.size;
        if (size > top && token * (context2.size + 1) !== index && plain(context2, token)) top = size;
      }
    }
    return { maps, values: found, diff, what, top: top || 1 };
  }
  function heatCell(context2, found, row, column) {
    const { words: words2, size } = context2;
    const values2 = found.values.map((matrix) => matrix?.[row * size + column]);
    return {
      is: { position: row, word: column },
      tip: () => [
        `${words2[row]} (${row}) from ${words2[column]} (${column})`,
        ["what", `${found.what}, ${layerName(context2)}`],
        ...perModel(context2, values2)
      ]
    };
  }
  function heatLabels(context2, { x, y, cell, extent }) {
    const rows = withRoom(context2.size, cell, [state.position], 10);
    const columns = withRoom(context2.size, cell, [state.word]);
    const size = Math.min(11, Math.max(8, cell * 0.9));
    const marks = [];
    context2.words.forEach((word, token) => {
      const look = wordLook(context2, token);
      if (rows.includes(token))
        marks.push({
          kind: "text",
          x: x - 4,
          y: y + (token + 0.5) * cell,
          text: nameIn(word, 11),
          size,
          anchor: "end",
          ...look,
          is: { position: token }
        });
      if (columns.includes(token))
        marks.push({
          kind: "text",
          x: x + (token + 0.5) * cell,
          y: y + extent + 5,
          text: nameIn(word, 11),
          size,
          anchor: "end",
          turn: -60,
          ...look,
          is: { word: token }
        });
    });
    return marks;
  }
  function heatTable(context2, found) {
    const tokens = context2.sides[0].tokens;
    const { size } = context2;
    const rows = [["layer", "head", "position", "position_token", "token", "token_text", ...valueNames(context2)]];
    const what = state.map === "method" ? state.method : state.head || "fused";
    const layers = layersCell(context2);
    for (let index = 0; index < size * size; index += 1) {
      const position = Math.floor(index / size);
      const token = index % size;
      rows.push([
        layers,
        what,
        position,
        tokens[position],
        token,
        tokens[token],
        ...found.values.map((matrix) => matrix?.[index])
      ]);
    }
    return rows;
  }
  var heat = {
    name: "heat",
    column: 1,
    title: "Heat map",
    help: "A row a position, a column a token",
    draw: heatView,
    uses: [...SEEN, "map", "head", "heads", "method"],
    fields: { map: ["map", "heads", among("heads", "method", "layers")] },
    controls: () => [
      segment("map", [
        ["heads", "attention", "a head, or those chosen, fused (key y)"],
        ["method", "method", "the method that is chosen"],
        ["layers", "by layer", "all methods, layer by layer"]
      ]),
      chooser(
        "head",
        [
          ["0", "fused"],
          ...numbersTo(HEADS).map(([value, text]) => (
            /** @type {[string, string]} */
            [value, `head ${text}`]
          ))
        ],
        "The head that is shown (keys h and H)",
        Number
      )
    ],
    keys: [[["y"], "next kind of heat map", cycle("map", ["heads", "method", "layers"])]],
    arrows: {
      ArrowUp: stepped("position", -1, 0, last),
      ArrowDown: stepped("position", 1, 0, last),
      ArrowLeft: stepped("word", -1, 0, last),
      ArrowRight: stepped("word", 1, 0, last)
    }
  };

  // src/explorer/views/network.js
  var d312 = __toESM(require_d3(), 1);

  // src/explorer/views/arcs.js
  function arcsView(context2, width, tall, draw3) {
    const { pictures } = context2;
    const across = standsBeside(pictures.length, width);
    const each = width / across;
    if (pictures.length === 1)
      return { ...draw3(context2, width, tall), width, note: arcsNote(context2), table: () => arcsTable(context2) };
    const scenes = pictures.map((picture) => {
      const { marks, height } = draw3(picture, each, tall && tall / (pictures.length / across) - 16);
      const name = {
        kind: "text",
        x: 4,
        y: 9,
        text: short(picture.names[0], Math.floor(each / 7)),
        size: 11,
        bold: true,
        fill: colours()["ab"[picture.numbers[0]]]
      };
      return {
        marks: [name, ...marks.map((mark) => moved(mark, 0, 16))],
        height: height + 16
      };
    });
    const note = `${pictures.map((picture) => `${picture.names[0]}: ${arcsNote(picture)}`).join(" ")}${context2.diff ? noDifference(false) : ""}`;
    return { ...beside(scenes, width), width, note, table: () => picturesTable(pictures) };
  }
  function picturesTable(pictures) {
    const tables = pictures.map(arcsTable);
    return [
      ["model", ...tables[0][0]],
      ...tables.flatMap(([, ...rows], number) => rows.map((row) => [pictures[number].names[0], ...row]))
    ];
  }

  // src/explorer/views/network.js
  var networkView = (context2, width, tall) => arcsView(context2, width, tall, networkOf);
  function networkOf(context2, width, tall) {
    const { size, words: words2 } = context2;
    const steps = context2.to - context2.from + 1;
    const bottom = 74;
    const left = 40;
    const right = 16;
    const height = tall ?? Math.max(300, Math.min(520, 60 + 36 * steps + bottom));
    const places = points(d312.range(size), [left, width - right]).padding(0.6);
    const x = (position) => places(position) ?? 0;
    const y = linear([0, steps], [height - bottom, 16]);
    const marks = [];
    for (let step = 0; step <= steps; step += 1) {
      const layer = context2.from - 1 + step;
      const chosen2 = layer === context2.layer;
      marks.push({
        kind: "path",
        trace: lineFrom(left, y(step), width - right, y(step)),
        stroke: colours().line,
        line: chosen2 ? 2 : 0.8
      });
      marks.push({
        kind: "text",
        x: left - 8,
        y: y(step),
        text: layer ? String(layer) : "input",
        size: 10,
        anchor: "end",
        bold: chosen2,
        fill: colours().soft,
        is: layer ? { layer } : null
      });
    }
    for (const arc of context2.arcs.toReversed()) {
      const step = arc.layer - context2.from;
      marks.push(arcMark(context2, arc, lineFrom(x(arc.from), y(step), x(arc.to), y(step + 1))));
    }
    const nodes = [];
    for (let step = 0; step <= steps; step += 1) {
      for (let position = 0; position < size; position += 1) {
        const value = Math.max(...context2.graphs.map((graph) => graph.nodes[step][position]));
        nodes.push(nodeMark(context2, step, position, { x: x(position), y: y(step) }, value));
      }
    }
    marks.push(dotsMark(nodes.filter(isSmall)), ...nodes.filter((mark) => !isSmall(mark)));
    for (const token of withRoom(size, places.step(), [state.word, state.position])) {
      marks.push({
        kind: "text",
        x: x(token) + 3,
        y: height - bottom + 12,
        text: nameIn(words2[token], 11),
        size: 11,
        anchor: "end",
        turn: -52,
        ...wordLook(context2, token),
        is: { word: token },
        tip: () => wordTip(context2, token)
      });
    }
    marks.push({ kind: "circle", x: x(state.position), y: y(steps), r: 6, stroke: colours().target, line: 2 });
    return { height, marks };
  }
  var network = {
    name: "network",
    column: 0,
    title: "Layered network",
    help: "Words below, layers above them",
    draw: networkView,
    uses: [...ARC_FIELDS, "layer"]
  };

  // src/explorer/views/predictions.js
  var d313 = __toESM(require_d3(), 1);
  var LABELS_SHOWN = 24;
  var LETTER2 = 6.6;
  function predictionsView(context2, width) {
    if (!CONFUSIONS.length) return { ...emptyScene(width, predictionsMissing()), table: sentencesTable };
    if (confusionLabels.length > LABELS_SHOWN)
      return {
        ...emptyScene(
          width,
          `${confusionLabels.length} different predictions are too many for a table; the CSV lists them.`
        ),
        table: sentencesTable
      };
    const labels = confusionLabels.map((label) => shown(label ?? ""));
    const longest = Math.min(16, d313.max(labels, (label) => Array.from(label).length) ?? 0);
    const side = 20 + longest * 6.2;
    const count = labels.length;
    const cell = Math.max(16, Math.min(44, (width / Math.min(CONFUSIONS.length, 2) - side - 20) / count));
    const titles = CONFUSIONS.map(({ rows, columns }) => `${rows} (rows) and ${columns}`);
    const longestTitle = LETTER2 * Math.max(...titles.map((title) => Array.from(title).length));
    const each = Math.min(width, side + Math.max(cell * count, longestTitle) + 16);
    const across = Math.max(1, Math.floor(width / each));
    const high = cell * count + side + 40;
    const marks = CONFUSIONS.flatMap(
      (table, number) => confusionMarks(table, labels, {
        title: short(titles[number], Math.floor((each - side) / LETTER2)),
        left: number % across * each + side,
        top: Math.floor(number / across) * high + 40,
        cell,
        longest
      })
    );
    const here = context2.sentence;
    const cells = CONFUSIONS.map(
      (table) => table.of(here).map((label) => shown(label ?? "none")).join(" / ")
    );
    return {
      width,
      height: Math.ceil(CONFUSIONS.length / across) * high,
      marks,
      note: `${inUnits("Sentences by prediction; a click on a number lists those. This one:")} ${cells.join("; ")}.`,
      table: sentencesTable
    };
  }
  var predictionsMissing = () => data.sentences.some((sentence) => sentence.sides.some(({ prediction }) => known(prediction))) ? inUnits(
    `${PAIR ? "Only one of the two models has classes, and no text" : "There is one model alone, and no text"} has a label: nothing to set its predictions against.`
  ) : "These models have no classes, so there are no predictions.";
  function confusionMarks(table, labels, { title, left, top, cell, longest }) {
    const counts = confusionOf(table);
    const most = d313.max(counts.flat()) || 1;
    const marks = [];
    marks.push({
      kind: "text",
      x: left,
      y: top - 26,
      text: title,
      size: 11,
      bold: true
    });
    labels.forEach((label, row) => {
      marks.push({
        kind: "text",
        x: left - 6,
        y: top + (row + 0.5) * cell,
        text: short(label, longest),
        size: 11,
        anchor: "end"
      });
      marks.push({
        kind: "text",
        x: left + (row + 0.5) * cell + 3,
        y: top + labels.length * cell + 8,
        text: short(label, longest),
        size: 11,
        anchor: "end",
        turn: -52
      });
      labels.forEach((other, column) => {
        const number = counts[row][column];
        const fill2 = sequential(number / most);
        const name = `${table.name}.${row}.${column}`;
        const tip = () => [
          `${number} of ${data.sentences.length} ${inUnits("sentences")}`,
          [table.rows, label],
          [table.columns, other]
        ];
        marks.push({
          kind: "rect",
          x: left + column * cell,
          y: top + row * cell,
          width: cell,
          height: cell,
          fill: fill2,
          stroke: name === state.cell ? colours().target : colours().back,
          line: name === state.cell ? 2.5 : 1,
          is: number ? { cell: name } : null,
          tip
        });
        marks.push({
          kind: "text",
          x: left + (column + 0.5) * cell,
          y: top + (row + 0.5) * cell,
          text: String(number),
          size: 11,
          anchor: "middle",
          fill: inkOn(fill2),
          quiet: true
        });
      });
    });
    return marks;
  }
  function sentencesTable() {
    const names = data.models.flatMap((_, number) => [
      `prediction_${number + 1}`,
      `confidence_${number + 1}`,
      `loss_${number + 1}`
    ]);
    const rows = data.sentences.map((sentence) => [
      sentence.id,
      sentence.text,
      sentence.pair,
      sentence.label,
      ...PAIR ? [sentence.mean_change, sentence.moved] : [],
      ...sentence.sides.flatMap((side) => [side.prediction, confidence(side), side.loss])
    ]);
    return [["id", "text", "pair", "label", ...PAIR ? ["change", "moved"] : [], ...names], ...rows];
  }
  var predictions = {
    name: "predictions",
    column: 0,
    title: "Predictions",
    help: "The models against each other, and against labels",
    draw: predictionsView,
    uses: ["sentence", "cell"]
  };

  // src/explorer/views/rings.js
  var d314 = __toESM(require_d3(), 1);
  var GAP = 0.3;
  var ringsView = (context2, width, tall) => arcsView(context2, width, tall, ringsOf);
  function ringsOf(context2, width, tall) {
    const { size, words: words2, trace } = context2;
    const longest = d314.max(words2, (word) => Array.from(word).length) ?? 0;
    const side = Math.min(width, tall ?? 620);
    const margin = Math.min(18 + 6.2 * longest, 92, side * 0.17);
    const outer = side / 2 - margin;
    const middle = { x: width / 2, y: side / 2 };
    const steps = context2.to - context2.from + 1;
    const centred = trace === "back" || trace === "both";
    const inner = centred ? 0 : outer * 0.16;
    const radius = linear([0, steps], [outer, inner]);
    const angle = (position) => GAP / 2 + (2 * Math.PI - GAP) * (position + 0.5) / size;
    const place = (step, position) => ({
      angle: angle(position),
      radius: radius(step)
    });
    const marks = [];
    for (let step = 0; step <= steps; step += 1) {
      marks.push({
        kind: "circle",
        ...middle,
        r: Math.max(radius(step), 1),
        stroke: colours().line,
        line: context2.layer === context2.from - 1 + step ? 2 : 0.8
      });
    }
    const link = d314.linkRadial().angle((end) => end.angle).radius((end) => end.radius);
    for (const arc of context2.arcs.toReversed()) {
      const step = arc.layer - context2.from;
      const source = place(step, arc.from);
      const target = place(step + 1, arc.to);
      if (centred && step === steps - 1) target.angle = source.angle;
      marks.push({ ...arcMark(context2, arc, curveFrom(link, { source, target })), shift: [middle.x, middle.y] });
    }
    for (let step = 0; step <= steps && steps <= 14; step += 1) {
      const name = step ? `${context2.from - 1 + step}` : context2.from === 1 ? inUnits("words") : `${context2.from - 1}`;
      if (radius(step) > 12)
        marks.push({
          kind: "text",
          x: middle.x,
          y: middle.y - radius(step),
          text: name,
          size: 9,
          halo: true,
          anchor: "middle",
          fill: colours().soft,
          is: step ? { layer: context2.from - 1 + step } : null
        });
    }
    marks.push(...ringNodes(context2, place, middle, steps, centred));
    for (const token of labelled(context2, (2 * Math.PI - GAP) * (outer + 9) / size))
      marks.push(ringLabel(context2, words2[token], token, angle(token), outer, middle, margin));
    if (centred) {
      marks.push({
        kind: "circle",
        ...middle,
        r: 4,
        fill: colours().target,
        tip: () => [`${words2[state.position]} at position ${state.position}`, ["layer", context2.to]]
      });
      marks.push({
        kind: "text",
        x: middle.x,
        y: middle.y + 13,
        text: short(words2[state.position]),
        anchor: "middle",
        size: 11,
        bold: true,
        halo: true,
        fill: colours().target
      });
    }
    return { height: side, marks };
  }
  function ringNodes(context2, place, middle, steps, centred) {
    const marks = [];
    const dots = [];
    for (let step = 0; step < steps + (centred ? 0 : 1); step += 1) {
      for (let position = 0; position < context2.size; position += 1) {
        const value = Math.max(...context2.graphs.map(({ nodes }) => nodes[step][position]));
        const { angle, radius } = place(step, position);
        const [x, y] = d314.pointRadial(angle, radius);
        const mark = nodeMark(context2, step, position, { x: x + middle.x, y: y + middle.y }, value);
        if (isSmall(mark)) dots.push(mark);
        else marks.push(mark);
      }
    }
    return [dotsMark(dots), ...marks];
  }
  function labelled(context2, apart) {
    const every = Math.ceil(11 / Math.max(apart, 0.1));
    const weight = (token) => token === state.word || token === state.position ? Infinity : Math.max(...context2.graphs.map(({ nodes }) => nodes[0][token]));
    const found = [];
    for (const token of d314.range(context2.size).sort((one, other) => weight(other) - weight(one)))
      if (found.every((other) => Math.abs(other - token) >= every)) found.push(token);
    return found;
  }
  function ringLabel(context2, word, token, angle, outer, middle, margin) {
    const [x, y] = d314.pointRadial(angle, outer + 9);
    const left = angle > Math.PI;
    const turn2 = angle * 180 / Math.PI - 90;
    const most = Math.max(5, Math.floor((margin - 12) / 6));
    return {
      kind: "text",
      x: x + middle.x,
      y: y + middle.y,
      text: nameIn(word, most),
      size: 11,
      turn: left ? turn2 + 180 : turn2,
      anchor: left ? "end" : "start",
      ...wordLook(context2, token),
      is: { word: token },
      tip: () => wordTip(context2, token)
    };
  }
  var rings = {
    name: "rings",
    column: 0,
    title: "Token rings",
    help: "Words outside, layers as rings, the position in the middle",
    draw: ringsView,
    uses: [...ARC_FIELDS, "layer"]
  };

  // src/explorer/views/sankey.js
  var d315 = __toESM(require_d3(), 1);
  var RIBBONS = 180;
  var LABEL = 11;
  var THIN = 4;
  function sankeyView(context2, width, tall) {
    const height = tall ?? (context2.size > 30 ? 520 : 400);
    const gapBetween = 34;
    const diff = context2.diff && SAME_DEPTH;
    const stacks = diff ? [context2.conserved] : context2.conserved.map((graph) => [graph]);
    const each = (height - gapBetween * (stacks.length - 1)) / stacks.length;
    const marks = [];
    let drawn = 0;
    stacks.forEach((graphs, number) => {
      const top = number * (each + gapBetween) + 18;
      const heading = diff ? `${context2.names[1]} − ${context2.names[0]}` : context2.names[number];
      marks.push({
        kind: "text",
        x: 4,
        y: top - 9,
        text: heading,
        size: 11,
        bold: true,
        fill: stacks.length > 1 ? colours()["ab"[context2.numbers[number]]] : colours().fore
      });
      const found = sankeyOf(context2, graphs, number, { width, height: each - 30, top: top + 4 });
      drawn += found.drawn;
      marks.push(...found.marks);
    });
    const what = context2.strength === "attention" ? "share of the position (attention does not add up along paths)" : strengthName(context2);
    return {
      width,
      height: height + 4,
      marks,
      note: `${what}; ${drawn} ribbons of at least ${digits(ribbonThreshold(context2))}.${context2.diff ? noDifference(diff) : ""}`,
      table: () => sankeyTable(context2)
    };
  }
  var ribbonThreshold = (context2) => context2.strength === "attention" ? 0.01 : context2.threshold;
  function sankeyOf(context2, graphs, number, { width, height, top }) {
    const { size } = context2;
    const steps = graphs[0].arcs.length;
    const { from } = graphs[0];
    const arcs = graphs[0].arcs.map(
      (first, step) => graphs.length === 2 ? first.map((value, index) => Math.max(value, graphs[1].arcs[step][index])) : first
    );
    const nodes = nodeHeights(arcs, size);
    const label = Math.min(96, width * 0.2);
    const total = Math.max(...nodes.map((column) => d315.sum(column))) || 1;
    const gap = Math.min(3, height * 0.25 / size);
    const scale = (height - gap * (size - 1)) / total;
    const x = linear([0, steps], [label, width - label]);
    const tops = nodes.map((column) => {
      const spread = (height - d315.sum(column) * scale - gap * (size - 1)) / 2;
      let at = top + spread;
      return Array.from(column, (value) => (at += value * scale + gap) - value * scale - gap);
    });
    const ribbons = ribbonsOf(context2, graphs, arcs, { x, tops, scale }, number);
    const marks = [...ribbons];
    const thin = [];
    nodes.forEach(
      (column, step) => column.forEach((value, position) => {
        if (value * scale < THIN && position !== state.word && position !== state.position)
          thin.push(lineFrom(x(step), tops[step][position], x(step), tops[step][position] + value * scale));
      })
    );
    if (thin.length)
      marks.push({
        kind: "path",
        trace: (pen) => thin.forEach((trace) => trace(pen)),
        stroke: colours().soft,
        line: 6,
        quiet: true
      });
    nodes.forEach(
      (column, step) => column.forEach(
        (value, position) => marks.push(
          ...sankeyNode(context2, {
            step,
            position,
            value,
            x: x(step),
            y: tops[step][position],
            height: value * scale,
            graphs
          })
        )
      )
    );
    marks.push(...sankeyLabels(context2, nodes, tops, scale, { x, steps, top, bottom: top + height }));
    for (let step = 1; step < steps; step += 1) {
      marks.push({
        kind: "text",
        x: x(step),
        y: top + height + 9,
        text: String(from - 1 + step),
        size: 9,
        anchor: "middle",
        fill: colours().soft,
        is: { layer: from - 1 + step }
      });
    }
    return { marks, drawn: ribbons.length };
  }
  function ribbonsOf(context2, graphs, arcs, { x, tops, scale }, number) {
    const { size } = context2;
    const threshold = ribbonThreshold(context2);
    const found = [];
    const link = d315.linkHorizontal().x((end) => end[0]).y((end) => end[1]);
    arcs.forEach((matrix, step) => {
      const right = Array.from(tops[step + 1]);
      const left = Array.from(tops[step]);
      for (let i = 0; i < size; i += 1) {
        for (let j = 0; j < size; j += 1) {
          const value = matrix[i * size + j];
          const thick = value * scale;
          if (value >= threshold && value > 0)
            found.push({ value, step, i, j, thick, below: left[j] + thick / 2, above: right[i] + thick / 2 });
          right[i] += thick;
          left[j] += thick;
        }
      }
    });
    found.sort((one, other) => other.value - one.value);
    return found.slice(0, RIBBONS).map((ribbon) => {
      const trace = curveFrom(link, {
        source: [x(ribbon.step) + 3, ribbon.below],
        target: [x(ribbon.step + 1) - 3, ribbon.above]
      });
      return ribbonMark(context2, graphs, { ...ribbon, trace }, number);
    });
  }
  function ribbonMark(context2, graphs, { step, i, j, trace, thick }, number) {
    const values2 = graphs.map((graph) => graph.arcs[step][i * context2.size + j]);
    const change = values2.length === 2 ? values2[1] - values2[0] : 0;
    const { from } = graphs[0];
    const diff = graphs.length === 2;
    const stroke = diff ? change >= 0 ? colours().b : colours().a : PAIR ? colours()["ab"[context2.numbers[number]]] : colours().b;
    const opacity = diff ? 0.12 + 0.7 * Math.min(1, Math.abs(change) / (Math.max(...values2) || 1)) : i === j ? 0.22 : 0.42;
    const names = diff ? context2.names : [context2.names[number]];
    const lines = perModel({ ...context2, names }, values2);
    const { words: words2 } = context2;
    return {
      kind: "path",
      trace,
      stroke,
      line: Math.max(0.6, thick),
      opacity,
      glows: true,
      is: { layer: from + step, ...step ? {} : { word: j } },
      tip: () => [`${words2[j]} (${j}) → ${words2[i]} (${i})`, ["layer", from + step], ...lines]
    };
  }
  function sankeyNode(context2, { step, position, value, x, y, height, graphs }) {
    if (height < 0.4 || height < THIN && position !== state.word && position !== state.position) return [];
    const fill2 = step === 0 && position === state.word ? colours().word : position === state.position ? colours().target : colours().soft;
    const { from } = graphs[0];
    const is = step ? { position, layer: from - 1 + step } : { word: position };
    const through = () => graphs.map((graph) => nodeHeights(graph.arcs, context2.size)[step][position]);
    return [
      {
        kind: "rect",
        x: x - 3,
        y,
        width: 6,
        height,
        fill: fill2,
        is,
        tip: () => [
          `${context2.words[position]} at position ${position}`,
          [step ? "after layer" : "input", step ? from - 1 + step : inUnits("the word")],
          ...graphs.length === 2 ? perModel(context2, through()) : [
            /** @type {TipLine} */
            ["share", digits(value)]
          ]
        ]
      }
    ];
  }
  function sankeyLabels(context2, nodes, tops, scale, { x, steps, top, bottom }) {
    const marks = [];
    const place = (step, left) => {
      const chosen2 = (position) => Number(position === (left ? state.word : state.position));
      const largest2 = d315.range(context2.size).filter((position) => nodes[step][position] > 0).sort((one, other) => chosen2(other) - chosen2(one) || nodes[step][other] - nodes[step][one]).slice(0, Math.max(1, Math.floor((bottom - top) / LABEL)));
      const named2 = largest2.sort((one, other) => tops[step][one] - tops[step][other]);
      const middles = named2.map((position) => tops[step][position] + nodes[step][position] * scale / 2);
      const places = movedApart(middles, LABEL, top, bottom);
      for (const [number, position] of named2.entries()) {
        const y = places[number];
        marks.push({
          kind: "text",
          x: x(step) + (left ? -7 : 7),
          y,
          text: nameIn(context2.words[position], 13),
          size: 11,
          anchor: left ? "end" : "start",
          ...wordLook(context2, position),
          is: left ? { word: position } : { position },
          tip: () => wordTip(context2, position)
        });
      }
    };
    place(0, true);
    place(steps, false);
    return marks;
  }
  function sankeyTable(context2) {
    const { conserved } = context2;
    const token = (position) => context2.sides[0].tokens[position];
    const rows = [["layer", "from_position", "from_token", "to_position", "to_token", ...valueNames(context2)]];
    const deepest = d315.max(conserved, ({ from, arcs }) => from + arcs.length) ?? 0;
    for (let layer = Math.min(...conserved.map(({ from }) => from)); layer < deepest; layer += 1) {
      for (let index = 0; index < context2.size ** 2; index += 1) {
        const values2 = conserved.map(({ from, arcs }) => arcs[layer - from]?.[index]);
        const i = Math.floor(index / context2.size);
        const j = index % context2.size;
        if (values2.some((value) => value > 0)) rows.push([layer, j, token(j), i, token(i), ...values2]);
      }
    }
    return rows;
  }
  var sankey = {
    name: "sankey",
    column: 1,
    title: "Sankey",
    help: "What the position is made of, from the words through the layers",
    draw: sankeyView,
    uses: ARC_FIELDS
  };

  // src/explorer/views/words.js
  var d316 = __toESM(require_d3(), 1);
  function wordsView(context2, width, tall) {
    const { size, words: words2 } = context2;
    const left = 46;
    const bottom = 66;
    const each = tall ? Math.max(90, (tall - bottom) / data.methods.length - 30) : 92;
    const order = wordOrder(context2).filter((token) => stands(context2.sides[0], token));
    const diff = context2.diff && layersMeet(context2);
    const x = bands(order, [left, width - 8]).paddingInner(0.25);
    const marks = [];
    data.methods.forEach((method, number) => {
      const y = number * (each + 30) + 26;
      marks.push({
        kind: "text",
        x: 2,
        y: y - 15,
        text: `${method}, ${layerName(context2)}${diff ? ": change" : ""}`,
        size: 11,
        bold: method === state.method
      });
      marks.push(...barsOf(context2, method, x, { y, each, left, width }));
    });
    const base = data.methods.length * (each + 30) + 4;
    const chosen2 = [state.word, state.position].map((token) => order.indexOf(token ?? -1));
    for (const place of withRoom(
      order.length,
      x.step(),
      chosen2.filter((found) => found >= 0)
    )) {
      const token = order[place];
      marks.push({
        kind: "text",
        x: (x(token) ?? 0) + x.bandwidth() / 2 + 3,
        y: base + 4,
        text: nameIn(words2[token], 11),
        size: 11,
        anchor: "end",
        turn: -52,
        ...wordLook(context2, token),
        is: { word: token },
        tip: () => wordTip(context2, token)
      });
    }
    return {
      width,
      height: base + bottom,
      marks,
      note: `To position ${state.position}, ${words2[state.position]}. Special tokens and the position itself may be over the scale (▴). ${order.length} of ${size} tokens.${context2.diff ? noDifference(diff) : ""}`,
      table: () => wordsTable(context2)
    };
  }
  function wordOrder(context2) {
    const rows = valuesOf(context2, state.method);
    const order = d316.range(context2.size);
    const key = {
      value: (token) => rows.at(-1)?.[token] ?? 0,
      change: (token) => rows.length === 2 ? (rows[1]?.[token] ?? 0) - (rows[0]?.[token] ?? 0) : rows[0]?.[token] ?? 0
    }[
      /** @type {"value" | "change"} */
      state.order
    ];
    return key ? order.sort((one, other) => key(other) - key(one)) : order;
  }
  var TICK = format(".2~g");
  function barsOf(context2, method, x, { y, each, left, width }) {
    const rows = valuesOf(context2, method);
    if (rows.some((row) => row === null))
      return [
        {
          kind: "text",
          x: left,
          y: y + each / 2,
          text: `not computed for position ${state.position}`,
          fill: colours().soft
        }
      ];
    const diff = context2.diff && layersMeet(context2);
    const series = diff ? [changeOf(rows)] : rows;
    const scaling = series.flatMap((row) => Array.from(row ?? []).filter((_, token) => plain(context2, token) && token !== state.position)).map(Math.abs);
    const top = d316.max(scaling) || 1;
    const marks = [];
    const height = linear([diff ? -top : 0, top], [y + each, y]).clamp(true);
    for (const tick of diff ? [-top, 0, top] : [0, top]) {
      marks.push({
        kind: "path",
        trace: lineFrom(left, height(tick), width - 8, height(tick)),
        stroke: colours().line,
        line: 0.8
      });
      marks.push({
        kind: "text",
        x: left - 4,
        y: height(tick),
        text: TICK(tick),
        size: 9,
        anchor: "end",
        fill: colours().soft
      });
    }
    const band = x.bandwidth() / series.length;
    series.forEach(
      (row, number) => row?.forEach((value, token) => {
        if (x(token) === void 0) return;
        const from = height(0);
        const to = height(value);
        const side = diff ? value >= 0 ? "b" : "a" : PAIR ? "ab"[context2.numbers[number]] : "b";
        marks.push({
          kind: "rect",
          x: (x(token) ?? 0) + number * band,
          y: Math.min(from, to),
          width: Math.max(1, band),
          height: Math.max(0.5, Math.abs(from - to)),
          fill: colours()[side],
          opacity: plain(context2, token) ? 0.95 : 0.45,
          is: { word: token },
          tip: () => [
            `${context2.words[token]} at position ${token}`,
            ["what", `${method}, ${layerName(context2)}`],
            ...perModel(
              context2,
              rows.map((each2) => each2?.[token])
            )
          ]
        });
        if (Math.abs(value) > top * 1.0001)
          marks.push({
            kind: "text",
            x: (x(token) ?? 0) + (number + 0.5) * band,
            y: value > 0 ? y - 1 : y + each + 3,
            text: value > 0 ? "▴" : "▾",
            size: 8,
            anchor: "middle",
            fill: colours().soft,
            quiet: true
          });
      })
    );
    return marks;
  }
  function wordsTable(context2) {
    const both = context2.sides.length === 2 && layersMeet(context2);
    const tokens = context2.sides[0].tokens;
    const rows = [
      ["method", "layer", "position", "token", "token_text", ...valueNames(context2), ...both ? ["change"] : []]
    ];
    for (const method of data.methods) {
      const values2 = valuesOf(context2, method);
      for (const token of wordOrder(context2)) {
        const here = values2.map((row) => row?.[token]);
        rows.push([
          method,
          layersCell(context2),
          state.position,
          token,
          tokens[token],
          ...here,
          ...both ? [(here[1] ?? NaN) - (here[0] ?? NaN)] : []
        ]);
      }
    }
    return rows;
  }
  var words = {
    name: "words",
    column: 0,
    title: "Words",
    help: "What each word is worth to the position",
    draw: wordsView,
    uses: [...SEEN, "order", "method"],
    fields: { order: ["words", "text", among("text", "value", "change")] },
    controls: () => [
      segment("order", [
        ["text", inUnits("as in the text"), "in the text's order (key o)"],
        ["value", "by value", "the largest first"],
        ["change", "by change", "what gained most first"]
      ])
    ],
    keys: [[["o"], "next order of the words' bars", cycle("order", ["text", "value", "change"])]]
  };

  // src/explorer/views/index.js
  var VIEWS = [rings, sankey, network, heat, grid, words, ask, predictions];
  for (const view of VIEWS) addFields(view.fields ?? {});
  addFields({
    view: ["view", "", (text) => text === "" || VIEWS.some(({ name }) => name === text) ? text : void 0]
  });

  // src/explorer/panels.js
  var panels = /* @__PURE__ */ new Map();
  var panelOf = (name) => (
    /** @type {Panel} */
    panels.get(name)
  );
  var FIRST_SEEN = 2;
  function addPanel(view) {
    const canvas = make("canvas", { className: "under", role: "img", "aria-label": inUnits(view.title) });
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "over");
    svg.setAttribute("aria-hidden", "true");
    svg.setAttribute("hidden", "");
    const stage = make(
      "div",
      { className: "stage", tabIndex: 0, role: "group", "aria-label": inUnits(view.title), data: { view: view.name } },
      canvas
    );
    stage.append(svg);
    const note = make("p", { className: "note" });
    const button = (text, title, action, name) => {
      const found = make("button", { type: "button", title, className: "small", data: { save: name ?? "" } }, text);
      found.addEventListener("click", action);
      return found;
    };
    const large = button("⤢", `Enlarge, or back (key ${VIEWS.indexOf(view) + 1})`, () => enlarge(view.name));
    large.setAttribute("aria-label", `Enlarge ${inUnits(view.title)}`);
    const saves = ["svg", "png", "csv"].map(
      (kind) => button(
        kind.toUpperCase(),
        `Save ${kind === "csv" ? "its numbers" : "this view"} as ${kind.toUpperCase()}`,
        () => saveView(view.name, kind),
        kind
      )
    );
    const head = make(
      "div",
      { className: "panel-head" },
      make("h2", { title: inUnits(view.help) }, inUnits(view.title)),
      ...view.controls?.() ?? [],
      make("span", { className: "saves" }, ...saves, large)
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
      near: VIEWS.indexOf(view) < FIRST_SEEN
    };
    panels.set(view.name, panel);
    sight.observe(element);
    stage.addEventListener("mousemove", (event) => pointedAt(panel, event));
    stage.addEventListener("mouseleave", () => pointedAway(panel));
    stage.addEventListener("click", (event) => {
      const is = pointedAt(panel, event)?.is;
      if (is) pick(is, event.shiftKey || event.ctrlKey || event.metaKey);
      if (isTouch(event)) void settled().then(() => pointedAt(panel, event));
    });
  }
  var sight = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) panelOf(target.id.replace("panel-", "")).near = isIntersecting;
  });
  function saveView(name, kind) {
    return saveScene(sceneOf(name), `jaxflow-${name}-${state.sentence + 1}.${kind}`, kind);
  }
  function enlarge(name) {
    set({ view: state.view === name ? "" : name });
    if (state.view) panelOf(name).stage.focus();
  }
  var measuredFor = null;
  function forgetWidths() {
    measuredFor = null;
  }
  function watchWidths() {
    new ResizeObserver(() => {
      if (measuredFor === null || byId("panels").clientWidth === measuredFor.room) return;
      forgetWidths();
      void render();
    }).observe(byId("panels"));
  }
  function measurePanels(open) {
    if (measuredFor?.view === state.view) return;
    measuredFor = { view: state.view, room: byId("panels").clientWidth };
    for (const panel of open) panel.width = Math.max(280, panel.element.clientWidth - 22);
  }
  function drawPanels(context2, wanted2) {
    for (const [name, panel] of panels) panel.element.hidden = Boolean(state.view) && state.view !== name;
    byId("panels").classList.toggle("one", Boolean(state.view));
    const open = [...panels.values()].filter((panel) => !panel.element.hidden);
    measurePanels(open);
    const later = [];
    for (const panel of open) {
      if (state.view || panel.near) drawPanel(panel, context2);
      else if (panel.key !== keyOf(panel, context2)) later.push(panel);
    }
    return async () => {
      await nextFrame();
      scrollList();
      for (const panel of later) {
        if (!wanted2()) return;
        drawPanel(panel, context2);
        await nextTurn();
      }
    };
  }
  var AROUND = 96;
  var tallNow = () => state.view ? Math.max(320, window.innerHeight - (byId("panels").getBoundingClientRect().top + scrollY) - AROUND) : null;
  var keyOf = (panel, context2) => [
    stateKey(panel.view.uses),
    panel.width,
    tallNow(),
    themeNow(),
    window.devicePixelRatio,
    panel.view.waits?.(context2)
  ].join(" ");
  function drawPanel(panel, context2) {
    const key = keyOf(panel, context2);
    if (panel.key === key) return;
    panel.key = key;
    highlight(panel, null);
    const scene = panel.view.draw(context2, panel.width, tallNow());
    scene.title = `${inUnits(panel.view.title)}: ${context2.names.join(", ")}; ${short(context2.sentence.text, 60)}`;
    panel.scene = scene;
    panel.note.textContent = scene.note ?? "";
    drawScene(panel.canvas, scene);
  }
  function sceneOf(name) {
    const panel = panelOf(name);
    if (isDrawn() && !panel.element.hidden) drawPanel(panel, now());
    return (
      /** @type {Scene} */
      panel.scene
    );
  }
  var nextTurn = () => new Promise((done) => setTimeout(done));
  var nextFrame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));

  // src/explorer/keys.js
  var enlargeKey = ({ name }, index) => [[String(index + 1)], `enlarge ${name}, or back`, () => enlarge(name)];
  var SAID_FOR = 5e3;
  var KEYS = [
    [
      "Sentences",
      [
        [["j"], "next sentence", () => stepSentence(1)],
        [["k"], "previous sentence", () => stepSentence(-1)],
        [["/"], "search", () => byId("search").focus()],
        [["n"], "next occurrence of what is searched for (Enter in the box)", () => stepFound(1)],
        [["N"], "previous occurrence", () => stepFound(-1)]
      ]
    ],
    [
      "What is asked",
      [
        [["."], "next position", stepped("position", 1, 0, last)],
        [[","], "previous position", stepped("position", -1, 0, last)],
        [[">"], "next word to trace", stepped("word", 1, 0, last)],
        [["<"], "previous word to trace", stepped("word", -1, 0, last)],
        [["w"], "trace no word", () => set({ word: null })],
        [
          ["x"],
          "next paths: to the position, from the word, between them, all",
          cycle("trace", ["back", "forward", "both", "all"])
        ],
        [["b"], "compute arcs by the next of share, attention, flow", cycle("strength", ["share", "attention", "flow"])],
        [["m"], "the next of both models, difference, one, the other", cycle("models", MODES)],
        [["v"], "next method", cycle("method", data.methods)],
        [["i"], "special tokens: hidden, shown", cycle("special", ["", "1"])]
      ]
    ],
    [
      "Layers, heads, strength",
      [
        [["]"], "layer up", stepped("layer", 1, 1, () => LAYERS)],
        [["["], "layer down", stepped("layer", -1, 1, () => LAYERS)],
        [[")"], "first layer of the arcs up", () => set({ from: Math.min(state.to, state.from + 1) })],
        [["("], "first layer of the arcs down", () => set({ from: Math.max(1, state.from - 1) })],
        [["}"], "last layer of the arcs up", () => set({ to: Math.min(LAYERS, state.to + 1) })],
        [["{"], "last layer of the arcs down", () => set({ to: Math.max(state.from, state.to - 1) })],
        [
          ["h"],
          "next head (after the last, all fused)",
          () => set({ head: (state.head + 1) % (HEADS + 1), map: "heads" })
        ],
        [["H"], "previous head", () => set({ head: (state.head + HEADS) % (HEADS + 1), map: "heads" })],
        [["a"], "of this layer only the head that is shown; with none shown, all heads", onlyShown],
        [["+", "="], "threshold up", () => set({ threshold: fromSlider(Math.min(100, toSlider(now().threshold) + 4)) })],
        [["-"], "threshold down", () => set({ threshold: fromSlider(Math.max(0, toSlider(now().threshold) - 4)) })],
        [["0"], "threshold that leaves about 70 arcs", () => set({ threshold: null })]
      ]
    ],
    [
      "Views",
      [
        ...VIEWS.map(enlargeKey),
        ...VIEWS.flatMap(({ keys }) => keys ?? []),
        [["s"], "save the view that is enlarged, or has the focus, as SVG", () => saveView(viewNow(), "svg")],
        [["p"], "save it as PNG", () => saveView(viewNow(), "png")],
        [["c"], "save its numbers as CSV", () => saveView(viewNow(), "csv")],
        [["l"], "copy the link to what is shown", copyLink],
        [["t"], "light, dark, or as the system says", cycle("theme", ["", "light", "dark"])],
        [["?"], "these keys", () => toggleHelp()],
        [["Escape"], "close; back to all views; trace no word", closeInmost]
      ]
    ]
  ];
  var ACTIONS = new Map(
    KEYS.flatMap(([, keys]) => keys.flatMap(([names, , action]) => names.map((name) => [name, action])))
  );
  var ARROWS = {
    ArrowUp: stepped("layer", 1, 1, () => LAYERS),
    ArrowDown: stepped("layer", -1, 1, () => LAYERS),
    ArrowLeft: stepped("word", -1, 0, last),
    ArrowRight: stepped("word", 1, 0, last)
  };
  var viewNow = () => state.view || /** @type {HTMLElement | null} */
  document.activeElement?.dataset?.view || VIEWS[0].name;
  function closeInmost() {
    if (byId("help").open) return toggleHelp();
    if (state.view) return set({ view: "" });
    return set({ word: null });
  }
  function toggleHelp() {
    const help = byId("help");
    if (help.open) help.close();
    else help.showModal();
  }
  async function copyLink() {
    writeHash();
    let said2 = "The address of this page is the link to what it shows.";
    try {
      await navigator.clipboard.writeText(location.href);
      said2 = "Link copied.";
    } catch {
    }
    byId("status").textContent = said2;
    setTimeout(() => {
      if (byId("status").textContent === said2) byId("status").textContent = "";
    }, SAID_FOR);
  }
  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !now()) return;
    if (event.target.matches("input[type=search]")) {
      if (event.key === "Enter") stepFound(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.target.matches("select, input[type=range]") && /^(Arrow|Home|End|Page)/.test(event.key)) return;
    const view = VIEWS.find(({ name }) => name === event.target.dataset?.view);
    const arrows = view && (view.arrows ?? ARROWS);
    const action = arrows?.[event.key] ?? ACTIONS.get(event.key);
    if (!action || byId("help").open && event.key !== "?") return;
    event.preventDefault();
    action();
  }
  function setUpHelp() {
    const groups = KEYS.map(
      ([name, keys]) => make(
        "section",
        {},
        make("h3", {}, inUnits(name)),
        make(
          "dl",
          {},
          ...keys.flatMap(([names, words2]) => [
            make("dt", {}, ...names.map((key) => make("kbd", {}, key === "Escape" ? "Esc" : key))),
            make("dd", {}, inUnits(words2))
          ])
        )
      )
    );
    groups.push(
      make(
        "section",
        {},
        make("h3", {}, "In a picture"),
        make(
          "dl",
          {},
          make("dt", {}, make("kbd", {}, "arrows")),
          make("dd", {}, inUnits("heat map: position and word; head grid: layer and head; elsewhere: layer and word")),
          make("dt", {}, "click"),
          make(
            "dd",
            {},
            inUnits(
              "a word: trace it; a position of a layer above: ask for it; a head: show it; with Shift: choose the head, or ask for the word's position"
            )
          )
        )
      )
    );
    byId("help-keys").append(...groups);
    byId("help-button").addEventListener("click", toggleHelp);
    byId("help-close").addEventListener("click", toggleHelp);
    document.addEventListener("keydown", pressed);
  }

  // src/explorer/header.js
  function drawTheme() {
    forgetTheme();
    const root = document.documentElement;
    if (state.theme) root.dataset.theme = state.theme;
    else delete root.dataset.theme;
    byId("theme").textContent = `Theme: ${state.theme || "auto"}`;
  }
  function setUpHeader() {
    const names = data.models.map(
      (model, number) => make("span", { className: PAIR ? `model ${"ab"[number]}` : "model" }, isolated(model.name))
    );
    byId("models").append(...names);
    const { settings } = data;
    const about = [
      `mixing: ${shown(settings.mixing)}`,
      ...SAME_SHAPE ? [`${LAYERS} layers × ${HEADS} heads`] : data.models.map(shapeOf),
      ...settings.layers ? [settings.layers] : [],
      `jaxflow ${data.versions.jaxflow}`
    ];
    if (data.sentences.length < data.total)
      about.push(`the first ${data.sentences.length} of ${data.total} ${inUnits("sentences")}`);
    byId("about").textContent = about.join(" · ");
    byId("legend").hidden = !PAIR;
    document.title = `jaxflow: ${data.models.map(({ name }) => shown(name)).join(" and ")}`;
    byId("theme").addEventListener("click", cycle("theme", ["", "light", "dark"]));
    byId("link").addEventListener("click", copyLink);
    if (PAIR)
      for (
        const [kind, name] of
        /** @type {[keyof typeof DASH, string][]} */
        [
          ["a", `2 × in ${data.models[0].name}`],
          ["b", `2 × in ${data.models[1].name}`],
          ["shared", "alike in both"]
        ]
      )
        byId("legend").append(legendItem(kind, name));
  }
  function legendItem(kind, name) {
    const line = document.createElementNS(SVG, "svg");
    line.setAttribute("class", `line ${kind}`);
    line.setAttribute("viewBox", "0 0 34 10");
    const path2 = document.createElementNS(SVG, "path");
    path2.setAttribute("d", "M1,5H33");
    if (DASH[kind]) path2.setAttribute("stroke-dasharray", DASH[kind]);
    line.append(path2);
    return make("span", { className: "legend-item" }, line, isolated(name));
  }

  // src/shared/carried.js
  function carriedParts({ method, target, words: words2, tied }, inUnits2) {
    const how = make("span", { className: "score" }, `by ${method}, last layer`);
    if (tied > 1) return [inUnits2(`Carried by no one word: ${tied} words tie`), how];
    const subject = target === null ? ["Carried by"] : [isolated(target), " carried by"];
    const named2 = words2.map(
      ({ text, share, saturated }) => make(
        "span",
        {},
        make("strong", {}, isolated(text)),
        " ",
        make("span", { className: "score" }, saturated ? `${share.toFixed(2)}, saturated` : share.toFixed(2))
      )
    );
    return [...subject, ...named2, how];
  }

  // src/explorer/strip.js
  var d317 = __toESM(require_d3(), 1);

  // src/shared/picture.js
  var FOR = "20, 105, 255";
  var AGAINST2 = "255, 140, 0";
  var COVER = 0.82;
  var cover = (share) => `rgba(${share < 0 ? AGAINST2 : FOR}, ${COVER * Math.min(1, Math.abs(share))})`;
  var pictureOf = (picture, text) => make("img", { src: picture?.uri ?? "", alt: text, draggable: false, className: "seen" });
  function framed(picture, text, patches) {
    const cells = make("div", { className: "cells" }, ...patches);
    cells.style.gridTemplateColumns = `repeat(${picture?.columns ?? 1}, 1fr)`;
    return make("div", { className: "frame" }, pictureOf(picture, text), cells);
  }

  // src/explorer/strip.js
  var stripBefore = "";
  function drawStrip(context2) {
    const key = `${stateKey([...SEEN, "method"])} ${themeNow()}`;
    if (key === stripBefore) return;
    stripBefore = key;
    const rows = valuesOf(context2, state.method);
    const diff = context2.diff && layersMeet(context2);
    const series = diff ? [changeOf(rows)] : rows;
    const figures = series.map((row, number) => {
      const name = diff ? "change" : context2.names[number];
      const caption = make(
        "figcaption",
        { className: PAIR && !diff ? "ab"[context2.numbers[number]] : "" },
        isolated(name),
        ...diff ? [] : predictionParts(context2, number),
        ...diff ? context2.sides.flatMap((_, side) => apartParts(context2, side, true)) : apartParts(context2, number)
      );
      const sides = diff ? context2.sides : [context2.sides[number]];
      const carried = sides.flatMap((side, at) => carriedLine(side, diff ? context2.names[at] : null));
      const draw3 = sides[0].picture ? stripPicture : stripText;
      return make("figure", {}, caption, draw3(context2, row, number, diff), ...carried);
    });
    byId("strip").replaceChildren(...figures);
  }
  function carriedLine({ carried }, name) {
    if (!carried) return [];
    const where = name === null ? [] : [make("span", { className: "score" }, "in ", isolated(name))];
    return [make("p", { className: "carried" }, ...carriedParts(carried, inUnits), ...where)];
  }
  function apartParts(context2, number, named2 = false) {
    const side = context2.sides[number];
    const layer = layerIn(side) - 1;
    const apart = side.apart(state.method, layer, state.position);
    const where = named2 ? [" in ", isolated(context2.names[number])] : [];
    const row = /^flow/.test(state.method) ? side.row(state.method, layer, state.position) : null;
    const isWord = (token) => side.source[token] >= 0 && token !== state.position;
    const none = row ? inUnits(nothing(row, isWord)) : "";
    const said2 = apart === null || none ? [] : [`${state.method} tells ${apart} of ${side.size} tokens apart here`];
    if (none) said2.push(`${state.method}: ${none}`);
    const near = row && (apart === null || 2 * apart >= side.size) ? inUnits(alike(row, isWord)) : "";
    if (near) said2.push(`${state.method}: ${near}`);
    return said2.map((words2) => make("span", { className: "apart" }, words2, ...where));
  }
  function predictionParts(context2, number) {
    const side = context2.sides[number];
    const label = context2.sentence.label;
    if (!known(side.prediction))
      return known(label) ? [make("span", { className: "prediction" }, "label: ", isolated(label))] : [];
    const share = confidence(side);
    const parts = [
      make("span", { className: "prediction" }, isolated(side.prediction), share === null ? "" : ` ${share.toFixed(3)}`)
    ];
    if (known(label))
      parts.push(
        make(
          "span",
          { className: "prediction" },
          label === side.prediction ? "right" : "wrong",
          known(side.loss) ? `, loss ${digits(side.loss)}` : ""
        )
      );
    return parts;
  }
  function topOf(context2, row) {
    const isScaling = (_, token) => plain(context2, token) && token !== state.position;
    return d317.max(Array.from(row ?? []).filter(isScaling), Math.abs) || 1;
  }
  function stripPicture(context2, row, number, diff) {
    const side = context2.sides[diff ? 0 : number];
    const top = topOf(context2, row);
    const elements = side.tokens.map((name, token) => {
      const special = side.source[token] < 0;
      const element = make("span", { className: special ? "token special" : "token patch", data: { token } });
      if (special) element.append(isolated(name));
      else if (row) element.style.backgroundColor = cover(row[token] / top);
      marked(element, token);
      return element;
    });
    const isPatch = (_, token) => side.source[token] >= 0;
    const beside2 = elements.filter((_, token) => side.source[token] < 0);
    return make(
      "div",
      { className: "patches", data: { side: number } },
      framed(side.picture, context2.sentence.text, elements.filter(isPatch)),
      make("p", { className: "beside" }, ...beside2)
    );
  }
  function marked(element, token) {
    element.classList.toggle("asked", state.position === token);
    element.classList.toggle("traced", state.word === token);
  }
  function stripText(context2, row, number, diff) {
    const side = context2.sides[diff ? 0 : number];
    const text = make("p", { dir: "auto", className: "text", data: { side: number } });
    const top = topOf(context2, row);
    side.tokens.forEach((_, token) => {
      const [gap, surface] = side.pieces[token];
      if (gap)
        text.append(
          gap.trim() ? make("span", { className: "unread", title: "not read by the model" }, ...textNodes(gap)) : " "
        );
      text.append(stripWord(side, token, surface, row && row[token] / top, diff));
    });
    return text;
  }
  function stripWord(side, token, surface, share, diff) {
    const special = side.source[token] < 0;
    const element = make("span", { className: "token", data: { token } });
    if (special || !surface) element.append(isolated(side.tokens[token], special ? "" : "covered"));
    else element.append(...textNodes(surface));
    element.classList.toggle("special", special);
    element.classList.toggle("joined", Boolean(side.joined[token]));
    marked(element, token);
    if (!special && share !== null && share !== void 0) {
      const background = diff ? diverging(share) : sequential(share);
      element.style.backgroundColor = background;
      element.style.color = inkOn(background);
    }
    return element;
  }
  function setUpStrip() {
    const strip = byId("strip");
    const tokenOf = (event) => event.target.closest?.(".token");
    strip.addEventListener("click", (event) => {
      const token = tokenOf(event);
      if (!token) return;
      const index = Number(token.dataset.token);
      if (event.shiftKey || event.ctrlKey || event.metaKey) set({ position: index });
      else set({ word: state.word === index ? null : index });
      if (isTouch(event))
        void settled().then(() => now() && showTip(wordTip(now(), index), event.clientX, event.clientY));
    });
    strip.addEventListener("mousemove", (event) => {
      const token = tokenOf(event);
      if (token && now()) showTip(wordTip(now(), Number(token.dataset.token)), event.clientX, event.clientY);
      else hideTip();
    });
    strip.addEventListener("mouseleave", hideTip);
  }

  // src/explorer/main.js
  var current = null;
  var contextKey = "";
  var took = 0;
  async function draw2() {
    const start = performance.now();
    const wanted2 = state.sentence;
    const sentence = current?.index === wanted2 ? current : await load(wanted2);
    if (wanted2 !== state.sentence) return;
    if (current !== sentence) byId("status").textContent = "";
    current = sentence;
    trust(sentence.kept);
    hideTip();
    fit(sentence);
    drawTheme();
    const asked = stateKey(ARC_FIELDS);
    const known2 = now();
    const context2 = known2 && asked === contextKey ? known2 : contextOf(sentence);
    contextKey = asked;
    show(context2);
    drawList();
    drawControls(context2);
    drawStrip(context2);
    const mine = turnNow();
    const rest = drawPanels(context2, () => turnNow() === mine);
    writeHashSoon();
    tell(context2);
    took = performance.now() - start;
    return rest;
  }
  function setUpList() {
    const sort = chooser(
      "sort",
      SORTS.map(([name, words2]) => [name, words2]),
      "Order of the sentences"
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
  drawBy(draw2);
  setUpHeader();
  document.querySelector(".skip")?.addEventListener("click", (event) => {
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
  window.jaxflow = {
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
    csv: (name) => csvText(sceneOf(name).table()),
    csvText,
    svg: (name) => svgText(sceneOf(name)),
    png: (name) => pngCanvas(sceneOf(name)).toDataURL("image/png"),
    took: () => took
  };
})();
