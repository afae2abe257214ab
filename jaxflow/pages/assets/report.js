// Made by scripts/pages/build.mjs from scripts/pages/src/report: change those.
"use strict";
(() => {
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
    ].map((linear) => Math.min(1, Math.max(0, linear)));
  }
  var gamma = (linear) => linear <= 31308e-7 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
  var STEPS = 256;
  var shades = {};
  function shade(share, dark) {
    const step2 = Math.round(STEPS * Math.min(1, Math.abs(share)));
    const hue = share < 0 ? AGAINST : HUE;
    const made = shades[`${dark} ${hue}`] ??= [];
    return made[step2] ??= newShade(step2 / STEPS, dark, hue);
  }
  function newShade(t, dark, hue) {
    const [lightness, chroma] = dark ? [0.25 + 0.6 * t, 0.015 + 0.095 * t] : [0.975 - 0.6 * t, 5e-3 + 0.135 * t];
    const linear = toSrgb(lightness, chroma, hue);
    const [red, green, blue] = linear.map((part) => Math.round(255 * gamma(part)));
    const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    return { background: `rgb(${red}, ${green}, ${blue})`, color: luminance > 0.179 ? "#000" : "#fff" };
  }
  var ALIKE = 0.05;
  function alike(row, isWord) {
    const words = Array.from(row).filter((_, token) => isWord(token));
    const top = Math.max(0, ...words);
    const spread = words.length < 2 || top <= 0 ? 1 : 1 - Math.min(...words) / top;
    return spread > 1e-6 && spread <= ALIKE ? `all words lie within ${Number((100 * spread).toPrecision(1))} % here` : "";
  }
  function nothing(row, isWord) {
    const words = Array.from(row).filter((_, token) => isWord(token));
    return words.length && words.every((value) => value === 0) ? "nothing flows here from any word" : "";
  }

  // src/shared/text.js
  var HIDDEN = (
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/u
  );
  var named = (character) => `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
  function sharedBeginning(texts, least = 20) {
    const [first2, ...rest] = texts;
    if (!rest.length) return 0;
    let count = Math.min(...texts.map((text) => text.length - 1));
    for (const text of rest) while (count > 0 && !text.startsWith(first2.slice(0, count))) count -= 1;
    while (count > 0 && !/\s/u.test(first2[count - 1])) count -= 1;
    return count >= least ? count : 0;
  }

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
  function paint(element, share, dark = isDark()) {
    const { background, color } = shade(share, dark);
    element.style.backgroundColor = background;
    element.style.color = color;
  }
  function focusOn(elements, target) {
    for (const element of elements) element.tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
  }
  function turnTheme() {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    byId("theme").textContent = `Theme: ${theme}`;
  }
  var breakable = (method) => method.split(/(?=@)/).flatMap((part, index) => index ? [make("wbr"), part] : [part]);

  // src/shared/carried.js
  function carriedParts({ method, target, words, tied }, inUnits2) {
    const how = make("span", { className: "score" }, `by ${method}, last layer`);
    if (tied > 1) return [inUnits2(`Carried by no one word: ${tied} words tie`), how];
    const subject = target === null ? ["Carried by"] : [isolated(target), " carried by"];
    const named2 = words.map(
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

  // src/report/address.js
  function toHash(state2, data2, first2) {
    const { layers, queries } = data2.examples[state2.index];
    const fields = new URLSearchParams();
    if (state2.index) fields.set("s", String(state2.index + 1));
    if (state2.layer !== layers.length - 1) fields.set("l", String(layers[state2.layer]));
    if (state2.query !== firstOf(data2, state2.index)) fields.set("p", String(queries[state2.query]));
    if (state2.scale !== first2.scale) fields.set("by", state2.scale);
    if (state2.special) fields.set("special", "1");
    const shown = data2.methods.flatMap((method, place2) => state2.methods.has(method) ? [place2 + 1] : []);
    if (shown.length < data2.methods.length) fields.set("m", shown.join("."));
    return fields.toString();
  }
  function fromHash(hash, data2, first2) {
    const fields = new URLSearchParams(hash.replace(/^#/, ""));
    const number2 = (name) => fields.has(name) ? Number(fields.get(name)) : Number.NaN;
    const index = data2.examples[number2("s") - 1] ? number2("s") - 1 : 0;
    const { layers, queries } = data2.examples[index];
    const layer = layers.indexOf(number2("l"));
    const query = queries.indexOf(number2("p"));
    const by = fields.get("by") ?? "";
    const places = fields.get("m")?.split(".").map(Number);
    return {
      index,
      layer: layer < 0 ? layers.length - 1 : layer,
      query: query < 0 ? firstOf(data2, index) : query,
      scale: ["row", "range", "method", "one"].includes(by) ? by : first2.scale,
      special: fields.get("special") === "1",
      methods: new Set(data2.methods.filter((_, place2) => !places || places.includes(place2 + 1)))
    };
  }
  var firstOf = (data2, index) => data2.examples[index].parts ? data2.examples[index].queries.length - 1 : 0;

  // src/shared/base64.js
  function bytesOf(base64) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
    const text = atob(base64);
    const found = new Uint8Array(text.length);
    for (let index = 0; index < found.length; index += 1) found[index] = text.charCodeAt(index);
    return found;
  }
  var floatsOf = (base64) => new Float32Array(bytesOf(base64).buffer);

  // src/report/example.js
  var TIE = 1e-6;
  function unpack(example, methods) {
    const size = { query: example.queries.length, token: example.tokens.length };
    const values = {};
    for (const method of methods) values[method] = floatsOf(example.values[method]);
    const signed = new Set(methods.filter((method) => values[method].some((value) => value < 0)));
    const certified = example.certified ? bytesOf(example.certified) : null;
    const saturated = {};
    for (const [method, packed] of Object.entries(example.saturated)) if (packed) saturated[method] = bytesOf(packed);
    const at = (layer, query, token) => (layer * size.query + query) * size.token + token;
    return {
      example,
      row: (method, layer, query) => values[method].subarray(at(layer, query, 0), at(layer, query + 1, 0)),
      certified: (layer, query, token) => !certified || certified[at(layer, query, token)] === 1,
      hasSign: (method) => signed.has(method),
      saturated: (method, layer, query, token) => saturated[method]?.[at(layer, query, token)] === 1,
      ranks: /* @__PURE__ */ new Map()
    };
  }
  function toldApart(unpacked, method, layer, query, methods) {
    const { tokens, saturated } = unpacked.example;
    const count = (name) => tokens.filter((_, token) => !unpacked.saturated(name, layer, query, token)).length;
    const apart = count(method);
    if (apart === tokens.length) return null;
    if (2 * apart >= tokens.length) return { apart, of: tokens.length, instead: null };
    const flows = methods.filter((name) => name in saturated);
    const better = flows.reduce((best, name) => count(name) > count(best) ? name : best, method);
    const instead = count(better) > apart ? better : methods.includes("rollout") ? "rollout" : null;
    return { apart, of: tokens.length, instead };
  }
  function ranks(unpacked, method, layer, query) {
    const key = `${method} ${layer} ${query}`;
    if (!unpacked.ranks.has(key)) {
      const row = unpacked.row(method, layer, query);
      const sorted = Float32Array.from(row).sort();
      const below = (x) => {
        let low = 0;
        let high = sorted.length;
        while (low < high) {
          const middle = low + high >> 1;
          if (sorted[middle] <= x) low = middle + 1;
          else high = middle;
        }
        return low;
      };
      const found = Array.from(row, (value) => ({
        rank: sorted.length - below(value + TIE) + 1,
        ties: below(value + TIE) - below(value - TIE) - 1
      }));
      unpacked.ranks.set(key, found);
    }
    return unpacked.ranks.get(key) ?? [];
  }
  function bounds(unpacked, method, layer, query, state2) {
    if (state2.scale === "one") return [0, 1];
    const layers = state2.scale === "method" ? unpacked.example.layers.map((_, index) => index) : [layer];
    const { source, parts, queries } = unpacked.example;
    const beyond = parts === null ? [] : [parts.sink, queries[query]];
    let smallest = Infinity;
    let largest = 0;
    for (const index of layers) {
      unpacked.row(method, index, query).forEach((value, token) => {
        if (!state2.special && (source[token] < 0 || beyond.includes(token))) return;
        smallest = Math.min(smallest, value);
        largest = Math.max(largest, Math.abs(value));
      });
    }
    if (state2.scale === "range" && smallest >= 0 && largest - smallest > TIE) return [smallest, largest];
    return [0, largest || 1];
  }
  var shareOf = (value, [low, high]) => {
    const share = (value - low) / (high - low);
    return value < 0 ? share : Math.max(0, share);
  };

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

  // src/shared/save.js
  function saved(file, blob) {
    const link = make("a", { href: URL.createObjectURL(blob), download: file });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 1e4);
  }

  // src/report/page.js
  var data = JSON.parse(byId("data").textContent);
  var IMAGES = Boolean(data.examples[0]?.picture);
  var inUnits = unitsOf(IMAGES);

  // src/report/parts.js
  var explainedBy = (example, query) => example.parts?.explained[query] ?? null;
  var isLater = ({ parts, queries }, query, token) => parts !== null && queries[query] >= parts.start && token > queries[query];
  var marked = (example, query) => explainedBy(example, query) ?? example.queries[query];
  var explainsNext = ({ parts, queries, tokens }, query) => parts !== null && queries[query] === tokens.length - 1;
  function queryName(example, query) {
    const token = explainedBy(example, query);
    if (token !== null) return `${token}  ${example.tokens[token]}`;
    if (explainsNext(example, query)) return `next  ${example.prediction ?? ""}`.trimEnd();
    return `${example.queries[query]}  ${example.tokens[example.queries[query]]}`;
  }
  var firstQuery = ({ parts, queries }, before) => parts ? queries.length - 1 : Math.min(before, queries.length - 1);
  function layerName(encoderLayers, layer) {
    if (!encoderLayers) return { whole: String(layer), short: String(layer) };
    if (layer <= encoderLayers) return { whole: `encoder ${layer}`, short: `E${layer}` };
    const above = layer - encoderLayers - 1;
    const number2 = Math.floor(above / 2) + 1;
    const part = above % 2 ? "cross" : "self";
    return { whole: `decoder ${number2} ${part}`, short: `${part[0].toUpperCase()}${number2}` };
  }

  // src/report/export.js
  var CELL = 22;
  var PATCH = 16;
  var LETTER = 6.6;
  var GAP = 14;
  var TOP = 74;
  async function save(current2, state2, kind) {
    const name = `jaxflow-${data.model}-${current2.example.id}`.replace(/[^\w.-]+/g, "_").slice(-80);
    const blob = await {
      csv: () => new Blob([csvText(tableOf(current2, state2))], { type: "text/csv" }),
      svg: () => new Blob([svgText(current2, state2)], { type: "image/svg+xml" }),
      png: () => new Promise((done) => pngCanvas(current2, state2).toBlob(done, "image/png"))
    }[kind]();
    if (blob) saved(`${name}.${kind}`, blob);
  }
  function tableOf(current2, state2) {
    const { example } = current2;
    const position = example.queries[state2.query];
    const head = ["method", "layer", "position", "position_token", "token_position", "token", "relevance", "certified"];
    const rows = shownMethods(state2).flatMap(
      (method) => example.layers.flatMap(
        (layer, index) => Array.from(current2.row(method, index, state2.query), (value, token) => [
          ...[method, layer, position, example.tokens[position], token, example.tokens[token], value],
          // Of values that are no flows there is nothing to prove.
          data.flows.includes(method) ? String(current2.certified(index, state2.query, token)) : "",
          data.flows.includes(method) ? String(current2.saturated(method, index, state2.query, token)) : ""
        ])
      )
    );
    return [[...head, "saturated"], ...rows];
  }
  var shownMethods = (state2) => data.methods.filter((method) => state2.methods.has(method));
  var svgText = (current2, state2) => `${new XMLSerializer().serializeToString(pictureOf2(current2, state2))}
`;
  function pngCanvas(current2, state2) {
    const svg = pictureOf2(current2, state2);
    const [width, height] = ["width", "height"].map((name) => Number(svg.getAttribute(name)));
    const canvas = make("canvas", { width: 2 * width, height: 2 * height });
    const pen = penOf(canvas);
    pen.scale(2, 2);
    for (const element of svg.children) drawElement(pen, element, width, height);
    return canvas;
  }
  function drawElement(pen, element, wide, tall) {
    const given = (name, rest = "") => element.getAttribute(name) ?? rest;
    const [x, y] = [Number(given("x", "0")), Number(given("y", "0"))];
    const whole2 = given("width").endsWith("%");
    const [width, height] = whole2 ? [wide, tall] : [Number(given("width")), Number(given("height"))];
    pen.fillStyle = given("fill", "none");
    if (element.tagName === "rect") pen.fillRect(x, y, width, height);
    if (element.tagName === "text") {
      pen.font = `${given("font-weight", "400")} ${given("font-size")}px ${given("font-family")}`;
      pen.textAlign = given("text-anchor") === "end" ? "right" : given("text-anchor") === "middle" ? "center" : "left";
      pen.fillText(element.textContent ?? "", x, y);
    }
    const seen = element.tagName === "image" && Array.from(document.images).find(({ src }) => src === given("href"));
    if (seen) {
      pen.filter = "grayscale(1)";
      pen.drawImage(seen, x, y, width, height);
      pen.filter = "none";
    }
  }
  function pictureOf2(current2, state2) {
    const { example } = current2;
    const namespace = new DOMParser().parseFromString("<svg></svg>", "text/html").querySelector("svg")?.namespaceURI ?? "";
    const own = document.implementation.createDocument(namespace, "svg");
    const ink = isDark() ? "#e8e8e8" : "#1a1a1a";
    const add = (tag, attributes, text) => {
      const element = own.createElementNS(namespace, tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
      if (text) element.textContent = text;
      own.documentElement.append(element);
    };
    const write = (x, y, text, rest = {}) => add("text", { x, y, fill: ink, "font-family": "system-ui, sans-serif", "font-size": 12, ...rest }, text);
    const layer = layerName(data.encoder_layers, example.layers[state2.layer]).whole;
    const asked = queryName(example, state2.query).replace(/\s+/g, " ");
    const titles = [
      `${data.model}: ${example.text.replace(/\s+/g, " ").slice(0, 90)}`,
      `relevance to ${asked}${example.picture ? `, layer ${layer}` : ""} · mixing: ${data.settings.mixing}`
    ];
    const back = isDark() ? "#14171c" : "#ffffff";
    add("title", {}, titles.join("; "));
    add("rect", { width: "100%", height: "100%", fill: back });
    titles.forEach((title, line) => {
      write(GAP, 18 + 17 * line, title, line ? { "font-size": 11 } : { "font-weight": 600 });
    });
    const draw = example.picture ? drawPatches : drawMap;
    const [width, height] = draw(current2, state2, add, write);
    const signed = shownMethods(state2).some(current2.hasSign);
    const steps = signed ? 20 : 10;
    for (let step2 = 0; step2 <= steps; step2 += 1) {
      const fill = shade(signed ? step2 / 10 - 1 : step2 / 10, isDark()).background;
      add("rect", { x: GAP + 56 + 14 * step2, y: height + 8, width: 14, height: 12, fill });
    }
    const scale2 = state2.scale === "one" ? "1" : `largest${state2.scale === "method" ? " of the method" : " of the layer"}`;
    write(GAP, height + 18, signed ? "against" : state2.scale === "range" ? "smallest" : "0");
    write(GAP + 62 + 14 * (steps + 1), height + 18, signed ? "for" : scale2);
    const wide = Math.ceil(Math.max(width, GAP * 2 + LETTER * Math.max(...titles.map((title) => title.length)), 420));
    const size = { width: wide, height: height + 32, viewBox: `0 0 ${wide} ${height + 32}` };
    for (const [name, value] of Object.entries(size)) own.documentElement.setAttribute(name, String(value));
    return own.documentElement;
  }
  function drawMap(current2, state2, add, write) {
    const { example } = current2;
    const left = GAP * 2 + LETTER * Math.min(24, Math.max(...example.tokens.map((token) => token.length)));
    example.tokens.forEach((token, row) => {
      const weight = marked(example, state2.query) === row ? 600 : 400;
      write(left - 6, TOP + CELL * row + 15, token.slice(0, 24), { "text-anchor": "end", "font-weight": weight });
    });
    let x = left;
    for (const method of shownMethods(state2)) {
      const start = x;
      write(start, TOP - 22, method, { "font-weight": 600 });
      example.layers.forEach((number2, layer) => {
        const name = layerName(data.encoder_layers, number2).short;
        write(x + CELL / 2, TOP - 6, name, { "text-anchor": "middle", "font-size": 10 });
        const scale2 = bounds(current2, method, layer, state2.query, state2);
        current2.row(method, layer, state2.query).forEach((value, row) => {
          const fill = shade(shareOf(value, scale2), isDark()).background;
          add("rect", { x, y: TOP + CELL * row, width: CELL - 1, height: CELL - 1, fill });
        });
        x += CELL;
      });
      x = Math.max(x, start + (LETTER + 0.8) * method.length) + GAP;
    }
    return [x, TOP + CELL * example.tokens.length];
  }
  function drawPatches(current2, state2, add, write) {
    const { example } = current2;
    const { uri, rows, columns: columns2 } = example.picture ?? { uri: "", rows: 1, columns: 1 };
    const [width, height] = [PATCH * columns2, PATCH * rows];
    shownMethods(state2).forEach((method, place2) => {
      const x = GAP + (width + GAP) * place2;
      write(x, TOP - 8, method, { "font-weight": 600 });
      add("image", { href: uri, x, y: TOP, width, height, preserveAspectRatio: "none", style: "filter: grayscale(1)" });
      const scale2 = bounds(current2, method, state2.layer, state2.query, state2);
      let patch = 0;
      current2.row(method, state2.layer, state2.query).forEach((value, token) => {
        if (example.source[token] < 0) return;
        const at = { x: x + PATCH * (patch % columns2), y: TOP + PATCH * Math.floor(patch / columns2) };
        add("rect", { ...at, width: PATCH, height: PATCH, fill: cover(shareOf(value, scale2)) });
        patch += 1;
      });
    });
    return [GAP + (width + GAP) * shownMethods(state2).length, TOP + height];
  }

  // src/report/patches.js
  var plain = (example) => make(
    "figure",
    { className: "picture" },
    make("figcaption", {}, "the image, as the model saw it"),
    make("div", { className: "frame colours" }, pictureOf(example.picture, example.text))
  );
  function patchesOf(current2, state2, method) {
    const { example } = current2;
    const columns2 = example.picture?.columns ?? 1;
    const row = current2.row(method, state2.layer, state2.query);
    const scale2 = bounds(current2, method, state2.layer, state2.query, state2);
    const patches = [];
    const beside = make("p", { className: "beside" });
    example.tokens.forEach((name, token) => {
      const special = example.source[token] < 0;
      const element = make("span", {
        className: special ? "token special" : "token patch",
        tabIndex: -1,
        data: { token }
      });
      const share = shareOf(row[token], scale2);
      if (special) element.append(isolated(name));
      else element.style.backgroundColor = cover(share);
      if (special && state2.special) paint(element, share);
      element.classList.toggle("asked", example.queries[state2.query] === token);
      element.classList.toggle("saturated", current2.saturated(method, state2.layer, state2.query, token));
      if (special) beside.append(element);
      else patches.push(element);
    });
    patches[0]?.setAttribute("tabindex", "0");
    const frame = framed(example.picture, example.text, patches);
    return make(
      "figure",
      { className: "picture" },
      make("figcaption", {}, ...breakable(method)),
      make("div", { className: "text patches", data: { method, columns: columns2 } }, frame, beside)
    );
  }
  function renderMaps(current2, state2) {
    const methods = data.methods.filter((method) => state2.methods.has(method));
    const rows = methods.map(
      (method) => make(
        "div",
        { className: "maps" },
        make("span", { className: "name" }, ...breakable(method)),
        ...current2.example.layers.map(
          (layer, index) => make(
            "button",
            { type: "button", data: { layer: index }, ariaLabel: `${method}, layer ${layer}` },
            mapOf(current2, state2, method, index),
            String(layer)
          )
        )
      )
    );
    byId("heat").replaceChildren(...rows);
  }
  function mapOf(current2, state2, method, layer) {
    const { example } = current2;
    const { rows, columns: columns2 } = example.picture ?? { rows: 1, columns: 1 };
    const canvas = make("canvas", { width: columns2, height: rows });
    canvas.style.aspectRatio = `${columns2} / ${rows}`;
    const pen = penOf(canvas);
    const scale2 = bounds(current2, method, layer, state2.query, state2);
    const dark = isDark();
    let patch = 0;
    current2.row(method, layer, state2.query).forEach((value, token) => {
      if (example.source[token] < 0) return;
      pen.fillStyle = shade(shareOf(value, scale2), dark).background;
      pen.fillRect(patch % columns2, Math.floor(patch / columns2), 1, 1);
      patch += 1;
    });
    return canvas;
  }

  // src/report/heat.js
  var columns = [];
  var LEAST = 15;
  var MOST = 44;
  var EDGE = 10;
  var NAME = 80;
  var layout = null;
  function layoutFor(width, methods, layers, names) {
    const room = Math.max(0, width - names);
    const beside = Math.max(1, Math.min(methods, Math.floor(room / Math.max(NAME, layers * LEAST + EDGE))));
    const bands = Math.ceil(methods / beside);
    const each = Math.ceil(methods / bands);
    const cell = Math.floor((room - each * EDGE) / (each * layers));
    return { each, cell: Math.max(LEAST, Math.min(MOST, cell)) };
  }
  function layoutHere(example, methods) {
    const width = byId("heat").clientWidth;
    const longest = Math.max(...example.tokens.map((token) => token.length), 4);
    const names = 12 + Math.min(width < 700 ? 85 : 117, 8 * longest);
    return layoutFor(width, methods, example.layers.length, names);
  }
  function fits({ example }, state2) {
    if (!layout || example.picture || !state2.methods.size) return true;
    const { each, cell } = layoutHere(example, state2.methods.size);
    return each === layout.each && cell === layout.cell;
  }
  function renderHeat(current2, state2) {
    const { example } = current2;
    if (example.picture) {
      columns = [];
      return renderMaps(current2, state2);
    }
    const methods = data.methods.filter((method) => state2.methods.has(method));
    columns = methods.flatMap(
      (method) => example.layers.map((_, layer) => ({
        method,
        layer,
        row: current2.row(method, layer, state2.query),
        scale: bounds(current2, method, layer, state2.query, state2)
      }))
    );
    layout = methods.length ? layoutHere(example, methods.length) : null;
    const tables = [];
    for (let begin = 0; layout && begin < methods.length; begin += layout.each)
      tables.push(tableOf2(example, state2, methods.slice(begin, begin + layout.each), begin * example.layers.length));
    tables[0]?.querySelector("td")?.setAttribute("tabindex", "0");
    byId("heat").style.setProperty("--cell", `${layout?.cell ?? MOST}px`);
    byId("heat").replaceChildren(...tables);
    markRest();
  }
  function tableOf2(example, state2, methods, begin) {
    const table = make("table", { role: "grid", data: { begin } });
    const body = make("tbody");
    const own = columns.slice(begin, begin + methods.length * example.layers.length);
    const dark = isDark();
    example.tokens.forEach((_, token) => body.append(rowOf(example, state2, token, own, dark)));
    table.append(headOf(example, methods), body);
    return table;
  }
  function markRest() {
    const heat = byId("heat");
    heat.classList.toggle("more", heat.scrollLeft + heat.clientWidth < heat.scrollWidth - 1);
    byId("heat-more").hidden = heat.scrollWidth <= heat.clientWidth;
  }
  function headOf(example, methods) {
    const corner = make("th", { scope: "col", rowSpan: 2, className: "corner" }, "token");
    const names = methods.map(
      (method) => make("th", { scope: "colgroup", colSpan: example.layers.length, className: "group" }, ...breakable(method))
    );
    const layers = methods.flatMap(
      () => example.layers.map((layer, index) => {
        const { whole: whole2, short } = layerName(data.encoder_layers, layer);
        return make("th", { scope: "col", className: edge(index), title: whole2, data: { layer: index } }, short);
      })
    );
    return make("thead", {}, make("tr", {}, corner, ...names), make("tr", {}, ...layers));
  }
  function markLayer(layer) {
    for (const cell of byId("heat").querySelectorAll("[data-layer]")) {
      cell.classList.toggle("chosen", Number(cell.dataset.layer) === layer);
    }
  }
  function cellAt(cell) {
    const begin = Number(
      /** @type {HTMLElement} */
      cell.closest("table").dataset.begin
    );
    const { method, layer } = columns[begin + cell.cellIndex - 1];
    return { method, layer, token: (
      /** @type {HTMLTableRowElement} */
      cell.parentNode.rowIndex - 2
    ) };
  }
  function cellOf(method, layer, token) {
    const place2 = columns.findIndex((column) => column.method === method && column.layer === layer);
    for (const table of byId("heat").querySelectorAll("table")) {
      const at = place2 - Number(table.dataset.begin);
      if (place2 >= 0 && at >= 0 && at < table.rows[2].cells.length - 1) return table.rows[token + 2]?.cells[at + 1];
    }
    return void 0;
  }
  var edge = (layer) => layer === 0 ? "first" : "";
  function rowOf(example, state2, token, own, dark) {
    const asked = marked(example, state2.query) === token;
    const name = make("th", { scope: "row" }, isolated(example.tokens[token]));
    name.classList.toggle("special", example.source[token] < 0);
    name.classList.toggle("asked", asked);
    const cells = own.map(({ layer, row: row2, scale: scale2 }) => {
      const cell = document.createElement("td");
      cell.tabIndex = -1;
      if (layer === 0) cell.className = "first";
      const share = shareOf(row2[token], scale2);
      paint(cell, share, dark);
      if (Math.abs(share) > 1 + 1e-6) cell.textContent = "▴";
      return cell;
    });
    const row = make("tr", {}, name, ...cells);
    row.classList.toggle("second", example.parts?.start === token);
    row.classList.toggle("later", isLater(example, state2.query, token));
    return row;
  }
  function moveCell(event) {
    const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    const step2 = steps[event.key];
    if (!step2 || event.target.tagName !== "TD") return;
    event.preventDefault();
    event.stopPropagation();
    const rows = [...event.target.closest("table").querySelectorAll("tbody tr")];
    const row = rows.indexOf(event.target.parentNode);
    const column = event.target.cellIndex;
    const next = rows[row + step2[0]]?.cells[column + step2[1]];
    if (next?.tagName === "TD") focusOn(byId("heat").querySelectorAll("td[tabindex='0']"), next);
  }

  // src/report/legend.js
  function renderLegend(current2, state2) {
    const image = Boolean(current2.example.picture);
    const shown = data.methods.filter((method) => state2.methods.has(method));
    const signed = shown.filter(current2.hasSign);
    const [least, most] = { one: ["0", "1"], range: ["smallest", "largest"] }[state2.scale] ?? ["0", "largest"];
    const parts = signed.length < shown.length ? [`${least} `, rampOf(image, 0), ` ${most}`] : [];
    if (signed.length) {
      const which = signed.length < shown.length ? `${signed.join(", ")}: ` : "";
      parts.push(make("span", { className: "signed" }, `${which}against `, rampOf(image, -10, 2), " for"));
    }
    if (data.examples.some(({ saturated }) => Object.values(saturated).some(Boolean)))
      parts.push(make("span", { className: "saturated" }, "dotted"), " saturated: flow says nothing of it here");
    const { parts: two } = current2.example;
    const sink = (two === null ? "" : ", the position itself") + (two?.sink == null ? "" : ", a decoder's first token");
    if (!state2.special) parts.push(make("span", { className: "muted" }, `▴ over the scale (special tokens${sink})`));
    byId("legend").replaceChildren(...parts);
  }
  function rampOf(image, first2, by = 1) {
    const ramp = make("span", { className: image ? "ramp over" : "ramp" });
    for (let step2 = first2; step2 <= 10; step2 += by) {
      const box = make("span", { className: "step" });
      if (image) box.style.backgroundColor = cover(step2 / 10);
      else paint(box, step2 / 10);
      ramp.append(box);
    }
    return ramp;
  }

  // src/report/sentences.js
  var whole = (example) => example.pair === null ? example.text : `${example.text} | ${example.pair}`;
  var beginning = sharedBeginning(data.examples.map((example) => example.text));
  var searched = data.examples.map((example) => whole(example).toLowerCase());
  function setUpSentences(choose2) {
    const labels = [...new Set(data.examples.map((example) => example.prediction).filter((label) => label !== null))];
    const select = byId("label");
    select.append(make("option", { value: "" }, "any"));
    labels.sort().forEach((label, index) => select.append(make("option", { value: String(index + 1) }, ...textNodes(label))));
    select.hidden = /** @type {HTMLElement} */
    document.querySelector("label[for=label]").hidden = !labels.length;
    const items2 = data.examples.map((example, index) => item(example, index, choose2));
    byId("sentences").append(...items2);
    const filter = () => {
      const wanted = byId("search").value.trim().toLowerCase();
      const label = labels[Number(select.value) - 1];
      let count = 0;
      items2.forEach((element, index) => {
        const fits2 = searched[index].includes(wanted) && (!label || data.examples[index].prediction === label);
        element.hidden = !fits2;
        count += Number(fits2);
      });
      byId("count").textContent = `${count} of ${items2.length} ${inUnits("sentences")}`;
    };
    byId("search").addEventListener("input", filter);
    select.addEventListener("change", filter);
    filter();
    return items2;
  }
  function item(example, index, choose2) {
    const button = make("button", { type: "button" });
    if (example.id !== example.text) button.append(make("span", { className: "id" }, String(example.id)));
    if (example.picture) button.append(make("img", { src: example.picture.uri, alt: "", className: "small" }));
    button.append(sentence(example));
    if (example.prediction !== null) button.append(make("span", { className: "label" }, isolated(example.prediction)));
    button.addEventListener("click", () => choose2(index));
    return make("li", {}, button);
  }
  function sentence(example) {
    const characters = [...whole(example).slice(beginning)];
    const end = characters.length > 300 ? "…" : "";
    const text = `${beginning ? "… " : ""}${characters.slice(0, 300).join("")}${end}`;
    return make("span", { className: "sentence", dir: "auto" }, ...textNodes(text));
  }
  function mark(items2, index) {
    items2.forEach((element, other) => {
      const button = (
        /** @type {HTMLElement} */
        element.firstChild
      );
      if (other === index) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    });
    const list = byId("sentences");
    const box = items2[index].getBoundingClientRect();
    const frame = list.getBoundingClientRect();
    list.scrollTop += Math.min(0, box.top - frame.top) + Math.max(0, box.bottom - frame.bottom);
  }

  // src/report/tooltip.js
  var number = (value) => value === 0 ? "0" : value >= 1e-4 ? Number(value).toPrecision(6) : Number(value).toExponential(4);
  function aim(example, query) {
    const token = explainedBy(example, query);
    const position = `position ${example.queries[query]}`;
    return token === null ? `to ${position}` : `to ${position}, which predicted ${example.tokens[token]}`;
  }
  function describe(current2, method, layer, query, token) {
    const { example } = current2;
    const value = current2.row(method, layer, query)[token];
    const { rank, ties } = ranks(current2, method, layer, query)[token];
    const lines = [
      ["", `${method}, layer ${layerName(data.encoder_layers, example.layers[layer]).whole}, ${aim(example, query)}`],
      ["value", number(value)],
      ["rank", `${rank} of ${example.tokens.length}${ties ? `, tied with ${ties} other${ties > 1 ? "s" : ""}` : ""}`]
    ];
    if (current2.saturated(method, layer, query, token))
      lines.push(["saturated", "yes: all that leaves the position, or enters the token in the first layer"]);
    if (data.flows.includes(method)) {
      const proven = current2.certified(layer, query, token);
      lines.push([
        "certified",
        proven ? "yes: proven" : data.settings.flow === "smooth" ? "no: a smooth value, the exact flow may be more" : "no: an upper bound, the exact flow may be less"
      ]);
    }
    return lines;
  }
  function showTooltip(anchor, current2, method, layer, query, token) {
    const tooltip = byId("tooltip");
    const { example } = current2;
    const heading = make("strong", {}, isolated(example.tokens[token]), ` at position ${token}`);
    const rows = describe(current2, method, layer, query, token).map(
      ([name, text]) => make("div", {}, name ? make("span", { className: "name" }, name) : "", text)
    );
    tooltip.replaceChildren(heading, ...rows);
    tooltip.hidden = false;
    place(tooltip, anchor.getBoundingClientRect());
    for (const other of document.querySelectorAll("[aria-describedby=tooltip]"))
      other.removeAttribute("aria-describedby");
    anchor.setAttribute("aria-describedby", "tooltip");
  }
  function place(tooltip, anchor) {
    const box = tooltip.getBoundingClientRect();
    const left = Math.min(Math.max(8, anchor.left), document.documentElement.clientWidth - box.width - 8);
    const above = anchor.top - box.height - 6;
    tooltip.style.left = `${Math.max(8, left)}px`;
    tooltip.style.top = `${above > 4 ? above : anchor.bottom + 6}px`;
  }
  function hideTooltip() {
    byId("tooltip").hidden = true;
  }

  // src/report/words.js
  function renderWords(current2, state2) {
    const shown = data.methods.filter((method) => state2.methods.has(method));
    const image = Boolean(current2.example.picture);
    byId("words").classList.toggle("pictures", image);
    byId("words").replaceChildren(
      ...image ? [plain(current2.example)] : [],
      ...shown.map((method) => withTold(current2, state2, method, (image ? patchesOf : wordsOf)(current2, state2, method)))
    );
    if (!shown.length) byId("words").append(make("p", { className: "notice" }, "Choose a method."));
  }
  function wordsOf(current2, state2, method) {
    const { example } = current2;
    const row = current2.row(method, state2.layer, state2.query);
    const scale2 = bounds(current2, method, state2.layer, state2.query, state2);
    const line = () => make("p", { dir: "auto", className: "text", data: { method } });
    const lines = example.parts ? [line(), line()] : [line()];
    example.tokens.forEach((_, token) => {
      const text = example.parts && token >= example.parts.start ? lines[1] : lines[0];
      const [gap, surface] = example.pieces[token];
      if (gap)
        text.append(
          gap.trim() ? make("span", { className: "unread", title: "not read by the model" }, ...textNodes(gap)) : " "
        );
      const element = word(example, state2, token, surface, shareOf(row[token], scale2), Boolean(example.joined[token]));
      element.classList.toggle("saturated", current2.saturated(method, state2.layer, state2.query, token));
      text.append(element);
    });
    for (const text of lines) text.querySelector(".token")?.setAttribute("tabindex", "0");
    const { parts } = example;
    const shown = parts ? lines.map(
      (text, side) => make("div", { className: "side" }, make("span", { className: "score" }, parts.names[side]), text)
    ) : lines;
    return make("figure", {}, make("figcaption", {}, ...breakable(method)), make("div", {}, ...shown));
  }
  function withTold(current2, state2, method, figure) {
    const { queries, source } = current2.example;
    const isWord = (token) => source[token] >= 0 && token !== queries[state2.query];
    const row = current2.row(method, state2.layer, state2.query);
    const none = data.flows.includes(method) && inUnits(nothing(row, isWord));
    if (none) {
      figure.append(make("p", { className: "apart" }, none));
      return figure;
    }
    const told = toldApart(current2, method, state2.layer, state2.query, data.methods);
    if (told) {
      const see = told.instead ? `; see ${told.instead}` : "";
      figure.append(
        make(
          "p",
          { className: "apart" },
          `tells ${told.apart} of ${told.of} tokens apart here; the rest are saturated${see}`
        )
      );
    }
    const near = inUnits(alike(row, isWord));
    if (near && data.flows.includes(method) && (!told || 2 * told.apart >= told.of))
      figure.append(make("p", { className: "apart" }, near));
    return figure;
  }
  function word(example, state2, token, surface, share, joined) {
    const special = example.source[token] < 0;
    const element = make("span", { className: "token", tabIndex: -1, data: { token } });
    if (special) element.append(isolated(example.tokens[token]));
    else if (surface.trim()) element.append(...textNodes(surface));
    else element.append(isolated(example.tokens[token], "covered"));
    element.classList.toggle("special", special);
    element.classList.toggle("joined", joined);
    element.classList.toggle("asked", marked(example, state2.query) === token);
    const later = isLater(example, state2.query, token);
    element.classList.toggle("later", later);
    if (!later && (!special || state2.special)) paint(element, share);
    return element;
  }
  function moveWord(event) {
    const text = event.target.closest(".text");
    const columns2 = Number(text?.dataset.columns ?? 0);
    const step2 = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns2, ArrowUp: -columns2 }[event.key];
    if (!step2 || !text) return;
    event.preventDefault();
    const tokens = [...text.querySelectorAll(event.target.matches(".pick") ? ".pick" : ".token")];
    const next = tokens[tokens.indexOf(event.target) + step2];
    if (next) focusOn(tokens, next);
  }

  // src/report/written.js
  function renderWritten(example) {
    const { parts } = example;
    byId("written").hidden = !parts;
    if (!parts) return byId("written").replaceChildren();
    const line = make("p", { dir: "auto", className: "text" });
    example.tokens.forEach((token, index) => {
      if (index < parts.start) return;
      const [gap, surface] = example.pieces[index];
      if (gap) line.append(" ");
      const special = example.source[index] < 0;
      const element = tokenOf(parts.explained.indexOf(index), special || !surface.trim() ? isolated(token) : surface);
      element.classList.toggle("special", special);
      line.append(element);
    });
    example.queries.forEach((_, index) => {
      if (explainsNext(example, index))
        line.append(" ", tokenOf(index, ["next", example.prediction].filter(Boolean).join(": ")));
    });
    const hint = parts.explained.some((token) => token !== null) ? "point at a word, or tap it, to see what it came from" : 'only what follows is explained here; queries="answer" explains every word';
    return byId("written").replaceChildren(
      make("figure", {}, make("figcaption", {}, parts.names[1]), line, make("p", { className: "apart" }, hint))
    );
  }
  function markWritten(query) {
    for (const pick of byId("written").querySelectorAll(".pick")) {
      const chosen = Number(pick.dataset.query) === query;
      pick.setAttribute("aria-pressed", String(chosen));
      pick.tabIndex = chosen ? 0 : -1;
    }
  }
  function tokenOf(query, content) {
    const inside = typeof content === "string" ? textNodes(content) : [content];
    if (query < 0) return make("span", { className: "token" }, ...inside);
    return make("button", { type: "button", className: "token pick", data: { query } }, ...inside);
  }

  // src/report/main.js
  var scale = IMAGES ? "range" : "row";
  var first = { index: 0, layer: 0, query: 0, scale, special: false, methods: new Set(data.methods) };
  var state = { ...first };
  var current;
  var items = [];
  function render(heat = true) {
    hideTooltip();
    const focused = whereIs(document.activeElement);
    const { example } = current;
    byId("layer").value = String(state.layer);
    byId("layer-name").textContent = layerName(data.encoder_layers, example.layers[state.layer]).whole;
    byId("query").value = String(state.query);
    byId("scale").value = state.scale;
    byId("special").checked = state.special;
    markWritten(state.query);
    renderWords(current, state);
    if (heat) renderHeat(current, state);
    markLayer(state.layer);
    renderLegend(current, state);
    for (const method of data.methods) byId(`method-${method}`).checked = state.methods.has(method);
    writeHash();
    focused?.()?.focus({ preventScroll: true });
  }
  function writeHash() {
    const hash = `#${toHash(state, data, first)}`;
    if (location.hash === hash || hash === "#" && !location.hash) return;
    try {
      history.replaceState(null, "", hash);
    } catch {
    }
  }
  function whereIs(element) {
    if (element?.matches("#heat td")) {
      const { method: method2, layer, token: token2 } = cellAt(element);
      return () => cellOf(method2, layer, token2);
    }
    if (!element?.matches("#words .token")) return null;
    const { method } = element.closest(".text").dataset;
    const { token } = element.dataset;
    return () => document.querySelector(`#words [data-method="${method}"] .token[data-token="${token}"]`);
  }
  function choose(index) {
    const example = data.examples[index];
    const layer = Math.min(state.layer, example.layers.length - 1);
    open({ ...state, index, layer, query: firstQuery(example, state.query) });
  }
  function open(chosen) {
    Object.assign(state, chosen);
    const { index } = chosen;
    current = unpack(data.examples[index], data.methods);
    const { example } = current;
    byId("layer").max = String(example.layers.length - 1);
    byId("query").replaceChildren(
      ...example.queries.map(
        (_, query) => make("option", { value: String(query) }, ...textNodes(queryName(example, query)))
      )
    );
    byId("query-label").textContent = example.parts ? "Relevance to" : "Relevance to position";
    renderWritten(example);
    renderPrediction(example);
    renderCarried(example);
    mark(items, index);
    render();
  }
  function renderPrediction(example) {
    const parts = [];
    if (example.prediction !== null)
      parts.push("Prediction: ", make("strong", {}, isolated(example.prediction)), meaningOf(example.prediction));
    const scores = Object.entries(example.probabilities || {}).sort((one, other) => other[1] - one[1]);
    scores.slice(0, 5).forEach(
      ([label, share]) => parts.push(" ", make("span", { className: "score" }, isolated(label), ` ${share.toFixed(3)}`))
    );
    if ("certified_share" in example)
      parts.push(make("span", { className: "score" }, `flows certified: ${percent(example.certified_share ?? 0)}`));
    if (example.queries.length < example.queries_total) {
      parts.push(
        make(
          "span",
          { className: "score" },
          `the first ${example.queries.length} of ${example.queries_total} positions are in this page`
        )
      );
    }
    byId("prediction").replaceChildren(...parts);
  }
  var meaningOf = (label) => data.meanings[label] ? ` (${data.meanings[label]})` : "";
  function renderCarried({ carried }) {
    byId("carried").replaceChildren(...carried ? carriedParts(carried, inUnits) : []);
  }
  var percent = (share) => `${share === 1 ? "100" : (Math.floor(share * 1e4) / 100).toFixed(2)} %`;
  function setUpHeader() {
    const { settings } = data;
    byId("model").append(isolated(data.model));
    byId("about").append(
      isolated(data.input),
      " · mixing: ",
      isolated(settings.mixing),
      ` · jaxflow ${data.versions.jaxflow}`
    );
    const shown = data.examples.length;
    if (data.stored)
      byId("rest").textContent = shown < data.total ? `This page holds the first ${shown} of ${data.total} examples; the Parquet files beside it hold them all.` : "The Parquet files beside this page hold the same numbers.";
    if (shown < data.total) byId("about").append(` · the first ${shown} of ${data.total} examples`);
  }
  function setUpControls() {
    data.methods.forEach((method, index) => {
      const box = make("input", { type: "checkbox", checked: true, id: `method-${method}` });
      box.addEventListener("change", () => toggleMethod(method));
      byId("methods").append(make("label", { className: "check", title: `key ${index + 1}` }, box, ` ${method}`));
    });
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
    byId("layer").addEventListener("input", () => set({ layer: Number(byId("layer").value) }));
    byId("query").addEventListener("change", () => set({ query: Number(byId("query").value) }));
    byId("scale").addEventListener("change", () => set({ scale: byId("scale").value }));
    byId("special").addEventListener("change", () => set({ special: byId("special").checked }));
    byId("keys-button").addEventListener("click", () => toggleKeys(byId("keys").hidden));
    byId("theme").addEventListener("click", nextTheme);
    for (
      const kind of
      /** @type {const} */
      ["csv", "svg", "png"]
    )
      byId(`save-${kind}`).addEventListener("click", () => save(current, state, kind));
    darkQuery.addEventListener("change", () => render());
  }
  function set(changes) {
    Object.assign(state, changes);
    render(Object.keys(changes).some((name) => name !== "layer"));
  }
  function toggleMethod(method) {
    if (!state.methods.delete(method)) state.methods.add(method);
    render();
  }
  function toggleKeys(open2) {
    byId("keys").hidden = !open2;
    byId("keys-button").setAttribute("aria-expanded", String(open2));
  }
  function nextTheme() {
    turnTheme();
    render();
  }
  function pointed(event) {
    const picked = event.target.closest?.("#written .pick");
    if (picked && Number(picked.dataset.query) !== state.query) return set({ query: Number(picked.dataset.query) });
    const element = event.target.closest?.("#words .token, #heat td");
    if (!element) return hideTooltip();
    const { method, layer, token } = element.matches("td") ? cellAt(element) : wordAt(element);
    return showTooltip(element, current, method, layer, state.query, token);
  }
  var wordAt = (element) => ({
    method: element.closest(".text").dataset.method,
    layer: state.layer,
    token: Number(element.dataset.token)
  });
  function clicked(event) {
    const heading = event.target.closest("#heat [data-layer]");
    const cell = event.target.closest("#heat td");
    const token = event.target.closest("#words .token");
    const again = whereIs(cell ?? token);
    if (heading) set({ layer: Number(heading.dataset.layer) });
    if (cell) set({ layer: cellAt(cell).layer });
    if (token) {
      const position = Number(token.dataset.token);
      const { parts, queries } = current.example;
      const explains = parts ? parts.explained.indexOf(position) : -1;
      const query = explains >= 0 ? explains : queries.indexOf(position);
      if (query >= 0) set({ query });
    }
    const touched = again?.();
    if (touched) pointed({ target: touched });
  }
  function step(name, change, length) {
    set({ [name]: Math.min(Math.max(state[name] + change, 0), length - 1) });
  }
  function stepSentence(change) {
    for (let index = state.index + change; items[index]; index += change) {
      if (!items[index].hidden) return choose(index);
    }
    return void 0;
  }
  var KEYS = {
    j: () => stepSentence(1),
    k: () => stepSentence(-1),
    "[": () => step("layer", -1, current.example.layers.length),
    "]": () => step("layer", 1, current.example.layers.length),
    ",": () => step("query", -1, current.example.queries.length),
    ".": () => step("query", 1, current.example.queries.length),
    "/": () => byId("search").focus(),
    t: nextTheme,
    "?": () => toggleKeys(byId("keys").hidden)
  };
  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      hideTooltip();
      toggleKeys(false);
      if (event.target === byId("search")) event.target.blur();
      return;
    }
    if (event.target.matches("input[type=search], select")) return;
    const method = data.methods[Number(event.key) - 1];
    const action = method ? () => toggleMethod(method) : KEYS[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }
  speakOf([IMAGES ? "images" : "texts", ...data.encoder_layers ? ["targets"] : []], inUnits);
  setUpHeader();
  setUpControls();
  items = setUpSentences(choose);
  for (const kind of ["mouseover", "focusin"]) document.addEventListener(kind, pointed);
  document.addEventListener("scroll", hideTooltip, { passive: true, capture: true });
  document.addEventListener("keydown", pressed);
  byId("view").addEventListener("click", clicked);
  for (const id of ["words", "written"]) byId(id).addEventListener("keydown", moveWord);
  byId("heat").addEventListener("keydown", moveCell);
  if (data.examples.length) {
    byId("heat").addEventListener("scroll", markRest, { passive: true });
    new ResizeObserver(() => fits(current, state) ? markRest() : render()).observe(byId("heat"));
    window.addEventListener("hashchange", () => open(fromHash(location.hash, data, first)));
    open(fromHash(location.hash, data, first));
    const own = { csv: () => tableOf(current, state), svg: () => svgText(current, state) };
    Reflect.set(window, "jaxflow", { state, ...own, png: () => pngCanvas(current, state) });
  } else {
    for (const id of ["save-csv", "save-svg", "save-png", "keys-button"]) byId(id).hidden = true;
    const why = data.stored ? " The files in this page's folder say why each row was left out." : "";
    byId("view").replaceChildren(
      make("p", { className: "notice" }, `No text could be used, so there is nothing to show.${why}`)
    );
  }
})();
