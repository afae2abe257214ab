// The controls, which show what is chosen and choose.

import { byId, make, textNodes } from "../shared/dom.js";
import { short } from "../shared/text.js";
import { onlyShown } from "./actions.js";
import { set } from "./app.js";
import { digits } from "./numbers.js";
import { data, HEADS, inUnits, LAYERS, PAIR, SAME_SHAPE } from "./page.js";
import { headNames, state } from "./state.js";
import { fromSlider, toSlider } from "./threshold.js";
import { chooser, field, fill, numbersTo, said, segment } from "./widgets.js";

export function setUpControls() {
  const slider = make("input", {
    type: "range",
    id: "threshold",
    min: 0,
    max: 100,
    step: 1,
    title: "Strength filter (keys + and -)",
  });
  slider.addEventListener("input", () => set({ threshold: fromSlider(Number(slider.value)) }));
  const automaticButton = make(
    "button",
    { type: "button", id: "automatic", title: "Leave about 70 arcs between different positions (key 0)" },
    "auto",
  );
  automaticButton.addEventListener("click", () => set({ threshold: null }));
  const allHeads = make("button", { type: "button", id: "all-heads", title: "Take all heads again" }, "all");
  allHeads.addEventListener("click", () => set({ heads: "" }));
  const oneHead = make(
    "button",
    { type: "button", id: "one-head", title: "Of this layer take only the head that is shown (key a)" },
    "only shown",
  );
  oneHead.addEventListener("click", onlyShown);
  byId("controls").append(
    ...(PAIR
      ? [
          field(
            "Models",
            segment("models", [
              ["both", "both", "both models, told apart (key m)"],
              ["diff", "difference", "the second less the first"],
              ["a", data.models[0].name, "the first alone"],
              ["b", data.models[1].name, "the second alone"],
            ]),
          ),
        ]
      : []),
    field(
      "Compute by",
      segment("strength", [
        ["share", "share", "the share of the position that passes along an arc; at the words it is rollout (key b)"],
        ["attention", "attention", "the attention of the heads chosen, fused"],
        ["flow", "flow", "a maximum flow from the word to the position"],
      ]),
    ),
    field(
      "Paths",
      segment("trace", [
        ["back", "to the position", "from all words to the position (key x)"],
        ["forward", inUnits("from the word"), "from the word to all positions"],
        ["both", inUnits("word → position"), "what goes from the word to the position"],
        ["all", "all", "every arc over the threshold (of attention)"],
      ]),
    ),
    field("Position", chooser("position", [], "The position whose make-up is asked for (keys , and .)", Number)),
    field(
      "Word",
      chooser("word", [], "The word that is traced (keys < and >)", (text) => (text === "" ? null : Number(text))),
    ),
    field(
      "Layers of arcs",
      chooser("from", numbersTo(LAYERS), "The first layer of the arcs (keys ( and ))", Number),
      make("span", {}, "to"),
      chooser("to", numbersTo(LAYERS), "The last layer of the arcs (keys { and })", Number),
    ),
    field("Threshold", slider, make("output", { id: "over" }), automaticButton),
    field("Heads", make("output", { id: "heads" }), oneHead, allHeads),
    field(
      "Method",
      segment(
        "method",
        data.methods.map((method) => [method, method, "for words and heat maps (key v)"]),
      ),
    ),
    field(
      "Layer of words and maps",
      chooser("layer", numbersTo(LAYERS), "The layer of words, maps and bars (keys [ and ])", Number),
    ),
    field(
      "Special tokens",
      segment("special", [
        ["", "hidden", "leave [CLS], [SEP] and the like out of arcs, ribbons and bars (key i)"],
        ["1", "shown", "show them like words"],
      ]),
    ),
    // The meaning of the lines stays in sight with the controls.
    byId("legend"),
  );
  byId("options").addEventListener("click", () => {
    const open = document.body.classList.toggle("options");
    byId("options").setAttribute("aria-expanded", String(open));
    byId("options").textContent = open ? "Fewer options" : "All options";
  });
  byId("controls").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
}

/** @param {Context} context */
export function drawControls(context) {
  for (const box of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".segment"))) {
    for (const button of /** @type {Iterable<HTMLElement>} */ (box.children))
      said(button, "aria-checked", String(button.dataset.value === String(chosen(box))));
  }
  /** @type {[string, string][]} */
  const options = context.words.map((word, position) => [String(position), `${position}  ${short(word, 20)}`]);
  fill(byId("choose-position"), options);
  fill(byId("choose-word"), [["", "none"], ...options]);
  for (const select of /** @type {NodeListOf<HTMLSelectElement>} */ (document.querySelectorAll("select[data-field]"))) {
    const value = String(chosen(select) ?? "");
    if (select.value !== value) select.value = value;
  }
  byId("threshold").value = String(toSlider(context.threshold));
  byId("over").textContent = digits(context.threshold);
  said(byId("automatic"), "aria-pressed", String(state.threshold === null));
  const count = headNames().size;
  byId("heads").textContent = count
    ? `${count}${SAME_SHAPE ? ` of ${LAYERS * HEADS}` : ""}`
    : `all${SAME_SHAPE ? ` ${LAYERS * HEADS}` : ""}`;
  byId("all-heads").disabled = !count;
  byId("one-head").disabled = !state.head;
  drawAbout(context);
  drawLegend();
}

/**
 * What is chosen by a control.
 *
 * @param {HTMLElement} control
 */
const chosen = (control) => state[/** @type {keyof State} */ (control.dataset.field)];

/** @type {boolean | null} */
let legendBefore = null;

// What the arcs' looks mean, which in a difference is another thing.
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

/**
 * What is to be known of a long text's numbers.
 *
 * @param {Kept} kept
 */
function rounding({ bits, steps, fused }) {
  if (bits === 10) return [];
  const percent = (100 / 2 ** (bits + 1)).toFixed(1);
  const mean = fused.length ? `, ${fused.join(", ")} as their mean` : "";
  return [
    `rounded, as there are many positions: relevance to ${percent} %, a head's weight a by up to √a / ${steps}${mean}`,
  ];
}

/** @param {Context} options */
function drawAbout({ sentence, strength, words }) {
  const parts = [`${sentence.index + 1} of ${data.sentences.length}`];
  if (PAIR && SAME_SHAPE) parts.push(`change of attention ${digits(sentence.mean_change)}`);
  if (PAIR) parts.push(`change of relevance ${digits(sentence.moved)}`);
  if (sentence.flows_certified !== null && sentence.flows_certified < 1)
    parts.push(`${(Math.floor(sentence.flows_certified * 1e4) / 100).toFixed(2)} % of flows certified`);
  parts.push(...rounding(sentence.kept));
  if (state.strength === "flow" && strength !== "flow") parts.push(inUnits("choose a word to see a flow"));
  else if (state.word === null && (state.trace === "forward" || state.trace === "both"))
    parts.push(inUnits("choose a word to see its paths"));
  byId("sentence-about").textContent =
    `${inUnits("Sentence")} ${parts.join(" · ")} · what ${words[state.position]} (${state.position}) is made of`;
}
