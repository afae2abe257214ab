// The list of sentences: search, filter, order; and the search for a word, occurrence by occurrence.

const whole = (sentence) => (sentence.pair === null ? sentence.text : `${sentence.text} | ${sentence.pair}`);
const lowered = data.sentences.map((sentence) => whole(sentence).toLowerCase());

// By what sentences can be sorted, the largest first: name, words, value.
const largestLoss = (sentence) => Math.max(...sentence.sides.map(({ loss }) => loss ?? -Infinity));
const leastSure = (sentence) => -Math.min(...sentence.sides.map((side) => confidence(side) ?? Infinity));
const SORTS = [
  ["order", "as given", null],
  ...(PAIR && SAME_SHAPE ? [["change", "change of attention", (sentence) => sentence.mean_change]] : []),
  ...(PAIR ? [["moved", "change of relevance", (sentence) => sentence.moved]] : []),
  ...(data.sentences.some((sentence) => sentence.sides.some(({ loss }) => known(loss))) ? [["loss", "loss", largestLoss]] : []),
  ...(data.sentences.some((sentence) => sentence.sides.some((side) => known(side.prediction))) ? [["prediction", "prediction", null]] : []),
  ...(data.sentences.some((sentence) => sentence.sides.some((side) => confidence(side) !== null)) ? [["confidence", "the least sure", leastSure]] : []),
];

const items = data.sentences.map((sentence, index) => {
  const characters = Array.from(whole(sentence)), text = characters.length > 240 ? `${characters.slice(0, 240).join("")}…` : characters.join("");
  const labels = sentence.sides.flatMap((side, number) => (known(side.prediction) ? [make("span", { className: `label ${PAIR ? "ab"[number] : ""}`, title: data.models[number].name }, isolated(side.prediction))] : []));
  const value = make("span", { className: "value" });
  const button = make("button", { type: "button" }, make("span", { className: "id" }, String(sentence.id)), make("span", { className: "sentence", dir: "auto" }, ...textNodes(text)), make("span", { className: "labels" }, ...labels, value));
  button.addEventListener("click", () => set({ sentence: index, ...wordFound(index) }));
  return { element: make("li", {}, button), button, value };
});

// Indices in the order of the list, those that are filtered out left away.
function listed() {
  const wanted = state.search.trim().toLowerCase();
  const found = d3.range(data.sentences.length).filter((index) => lowered[index].includes(wanted) && inCell(data.sentences[index]));
  const key = SORTS.find(([name]) => name === state.sort)?.[2];
  if (key) found.sort((one, other) => key(data.sentences[other]) - key(data.sentences[one]) || one - other);
  if (state.sort === "prediction") {
    const text = (index) => data.sentences[index].sides.map(({ prediction }) => prediction ?? "").join(" ");
    found.sort((one, other) => (text(one) < text(other) ? -1 : text(one) > text(other) ? 1 : one - other));
  }
  return found;
}

let listBefore = "", shownBefore = "", chosenBefore = -1, currentBefore = -1;

function drawList() {
  const key = JSON.stringify([state.search, state.sort, state.cell]);
  if (key !== listBefore) {
    listBefore = key;
    const order = listed(), sort = SORTS.find(([name]) => name === state.sort);
    for (const index of order) items[index].value.textContent = sort?.[2] ? digits(Math.abs(sort[2](data.sentences[index]))) : "";
    byId("sentences").replaceChildren(...order.map((index) => items[index].element));
    byId("count").textContent = `${order.length} of ${data.sentences.length} sentences${state.cell ? " (by prediction)" : ""}`;
    byId("unfilter").hidden = !state.cell && !state.search;
  }
  if (currentBefore !== state.sentence) {
    items[currentBefore]?.button.removeAttribute("aria-current");
    items[state.sentence].button.setAttribute("aria-current", "true");
    currentBefore = state.sentence;
  }
}

// Brings the chosen sentence into the list's sight; asks where things are, so that it comes after all that changes them.
function scrollList() {
  const list = byId("sentences"), chosen = items[state.sentence].element;
  if (!chosen.isConnected || (listBefore === shownBefore && state.sentence === chosenBefore)) return;
  chosenBefore = state.sentence;
  shownBefore = listBefore;
  // Within the list only: the page itself stays where the reader has it.
  const top = chosen.offsetTop - list.offsetTop;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + chosen.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + chosen.offsetHeight - list.clientHeight;
}

function stepSentence(by) {
  const order = listed(), at = order.indexOf(state.sentence);
  const next = order[at < 0 ? 0 : at + by];
  if (next !== undefined) set({ sentence: next, ...wordFound(next) });
}

// Tokens of a sentence whose written form begins or goes on with what is searched for, by the pieces they cover.
function tokensFound(index, wanted) {
  const { pieces, source } = data.sentences[index].sides[0], starts = [];
  let text = "";
  pieces.forEach(([gap, surface], token) => {
    text += gap;
    starts.push(text.length);
    if (source[token] >= 0) text += surface;
  });
  const found = [], low = text.toLowerCase();
  for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, at + wanted.length)) {
    const token = starts.findLastIndex((start, place) => start <= at && source[place] >= 0);
    if (token >= 0 && !found.includes(token)) found.push(token);
  }
  return found;
}

const wanted = () => state.search.trim().toLowerCase();

// The first place of the searched word in a sentence, to be traced at once; without a search nothing changes.
function wordFound(index) {
  const found = wanted() ? tokensFound(index, wanted()) : [];
  return found.length ? { word: found[0] } : {};
}

// The next (or previous) occurrence of the searched word, in this sentence or another.
function stepFound(by) {
  if (!wanted()) return byId("search").focus();
  const all = listed().flatMap((index) => tokensFound(index, wanted()).map((word) => ({ sentence: index, word })));
  if (!all.length) return undefined;
  const at = all.findIndex(({ sentence, word }) => sentence === state.sentence && word === state.word);
  const next = at < 0 ? Math.max(0, all.findIndex(({ sentence }) => sentence === state.sentence)) : (at + by + all.length) % all.length;
  byId("found").textContent = `${next + 1} of ${all.length}`;
  return set(all[next]);
}
