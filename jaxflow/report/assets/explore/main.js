// Puts the page together, and draws it again when something was chosen.

let current = null; // the sentence whose numbers are unpacked
let context = null; // what the views draw from
let contextKey = ""; // what it was made for
let drawing = null; // the next drawing, where one is due
let busy = 0;
let turn = 0; // number of the last choice
let drawnTurn = -1; // and of the one that is drawn
let took = 0;

// What is chosen that the arcs follow from; a view is drawn again when something that it uses was chosen.
const ARC_FIELDS = ["sentence", "models", "strength", "trace", "threshold", "position", "word", "from", "to", "heads"];
const SEEN = ["sentence", "models", "layer", "position", "word"];

const stateKey = (fields) => JSON.stringify(fields.map((name) => state[name]));

const PANELS = [
  { name: "rings", column: 0, title: "Token rings", help: "Words outside, layers as rings, the position in the middle", draw: ringsView, uses: [...ARC_FIELDS, "layer"] },
  { name: "sankey", column: 1, title: "Sankey", help: "What the position is made of, from the words through the layers", draw: sankeyView, uses: ARC_FIELDS },
  { name: "network", column: 0, title: "Layered network", help: "Words below, layers above them", draw: networkView, uses: [...ARC_FIELDS, "layer"] },
  { name: "heat", column: 1, title: "Heat map", help: "A row a position, a column a token", draw: heatView, uses: [...SEEN, "map", "head", "heads", "method"], controls: [segment("map", [["heads", "attention", "a head, or those chosen, fused (key y)"], ["method", "method", "the method that is chosen"], ["layers", "by layer", "all methods, layer by layer"]]), chooser("head", [["0", "fused"], ...numbersTo(HEADS).map(([value, text]) => [value, `head ${text}`])], "The head that is shown (keys h and H)", Number)] },
  { name: "grid", column: 1, title: "Head grid", help: "Layers by heads", draw: gridView, uses: [...SEEN, "measure", "head", "heads", "asked"], controls: [chooser("measure", MEASURES.map((name) => [name, name]), "What the grid shows (key g)")] },
  { name: "words", column: 0, title: "Words", help: "What each word is worth to the position", draw: wordsView, uses: [...SEEN, "order", "method"], controls: [segment("order", [["text", "as in the text", "in the text's order (key o)"], ["value", "by value", "the largest first"], ["change", "by change", "what gained most first"]])] },
  { name: "ask", column: 1, title: "Who attends to the word", help: "The heads that attend to it most", draw: askView, waits: (now) => state.asked === "everywhere" && Boolean(occurrences.get(now.sides[0].tokens[state.word])), uses: [...SEEN, "asked", "head"], controls: [segment("asked", [["all", "all positions", "mean over the positions that ask (key q)"], ["position", "the position", "the chosen position asks"], ["everywhere", "all sentences", "mean over all occurrences of the word"]])] },
  { name: "predictions", column: 0, title: "Predictions", help: "The models against each other, and against labels", draw: predictionsView, uses: ["sentence", "cell"] },
];

function set(changes) {
  Object.assign(state, changes);
  return render();
}

// Draws once a frame at most; what this gives is kept when all that is in sight is drawn.
function render() {
  turn += 1;
  drawing ??= new Promise((done) => {
    requestAnimationFrame(() => {
      drawing = null;
      busy += 1;
      void draw()
        .then((rest) => {
          done();
          return rest?.();
        })
        .finally(() => {
          busy -= 1;
          done();
        });
    });
  });
  return drawing;
}

async function draw() {
  const start = performance.now(), wanted = state.sentence;
  const sentence = current?.index === wanted ? current : await load(wanted);
  // Another sentence may have been chosen meanwhile; its own drawing is due.
  if (wanted !== state.sentence) return;
  if (current !== sentence) byId("status").textContent = "";
  current = sentence;
  hideTip();
  fit(sentence);
  drawTheme();
  const asked = stateKey(ARC_FIELDS);
  if (asked !== contextKey) context = contextOf(sentence);
  contextKey = asked;
  drawList();
  drawControls(context);
  drawStrip(context);
  const mine = turn;
  drawnTurn = mine;
  const rest = drawPanels(context, () => turn === mine);
  writeHashSoon();
  took = performance.now() - start;
  return rest;
}

const nextTurn = () => new Promise((done) => setTimeout(done));

// When what is drawn can be seen.
const nextFrame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));

function drawTheme() {
  theme = null;
  const root = document.documentElement;
  if (state.theme) root.dataset.theme = state.theme;
  else delete root.dataset.theme;
  byId("theme").textContent = `Theme: ${state.theme || "auto"}`;
}

let hashTimer = 0;

function writeHashSoon() {
  clearTimeout(hashTimer);
  hashTimer = setTimeout(writeHash, 200);
}

function writeHash() {
  clearTimeout(hashTimer);
  const hash = `#${toHash()}`;
  if (location.hash === hash || (hash === "#" && !location.hash)) return;
  try {
    history.replaceState(null, "", hash);
  } catch {
    // In a notebook's frame the page has no address of its own.
  }
}

function setUpHeader() {
  const names = data.models.map((model, number) => make("span", { className: PAIR ? `model ${"ab"[number]}` : "model" }, isolated(model.name)));
  byId("models").append(...names);
  const { settings } = data;
  const about = [`heads fused by ${settings.heads}`, `residual ${settings.residual}`, ...(SAME_SHAPE ? [`${LAYERS} layers × ${HEADS} heads`] : data.models.map(shapeOf)), `jaxflow ${data.versions.jaxflow}`];
  if (data.sentences.length < data.total) about.push(`the first ${data.sentences.length} of ${data.total} sentences`);
  byId("about").textContent = about.join(" · ");
  byId("legend").hidden = !PAIR;
  document.title = `jaxflow: ${data.models.map(({ name }) => shown(name)).join(" and ")}`;
  byId("theme").addEventListener("click", cycle("theme", ["", "light", "dark"]));
  byId("link").addEventListener("click", copyLink);
  if (PAIR) for (const [kind, name] of [["a", `only ${data.models[0].name}`], ["b", `only ${data.models[1].name}`], ["shared", "both"]]) byId("legend").append(legendItem(kind, name));
}

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

function setUpList() {
  const sort = chooser("sort", SORTS.map(([name, words]) => [name, words]), "Order of the sentences");
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

setUpHeader();
document.querySelector(".skip").addEventListener("click", (event) => {
  // The address holds what is chosen, so no anchor may replace it.
  event.preventDefault();
  byId("strip").tabIndex = -1;
  byId("strip").focus();
});
setUpControls();
setUpList();
setUpStrip(() => context);
PANELS.forEach(addPanel);
setUpHelp();
Object.assign(state, fromHash(location.hash));
byId("search").value = state.search;
window.addEventListener("hashchange", () => {
  if (location.hash === `#${toHash()}`) return;
  set(fromHash(location.hash));
  byId("search").value = state.search;
});
window.addEventListener("resize", () => {
  measuredFor = null;
  void render();
});
document.addEventListener("scroll", hideTip, { passive: true, capture: true });
darkQuery.addEventListener("change", render);
void render();

// For tests, and for whoever wants the numbers in the browser's console.
window.jaxflow = {
  data,
  state,
  first: Object.fromEntries(Object.entries(FIELDS).map(([name, [, first]]) => [name, first])),
  colours,
  set,
  link: toHash,
  listed,
  settled: async () => {
    while (drawing || busy) await (drawing ?? new Promise((done) => setTimeout(done, 5)));
  },
  context: () => context,
  scene: sceneOf,
  csv: (name) => csvText(sceneOf(name)),
  svg: (name) => svgText(sceneOf(name)),
  png: (name) => pngCanvas(sceneOf(name)).toDataURL("image/png"),
  took: () => took,
};
