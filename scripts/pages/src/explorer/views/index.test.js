import assert from "node:assert/strict";
import { test } from "node:test";
import { explorerData, standIn } from "../../testing/page.js";

const data = explorerData();
standIn(data);
const { VIEWS } = await import("./index.js");
const { contextOf, kindOf } = await import("../context.js");
const { arcsNote } = await import("../marks.js");
const { Side } = await import("../side.js");
const { FIELDS, fit, state } = await import("../state.js");

const SIZE = 4;
const first = Object.fromEntries(Object.entries(FIELDS).map(([name, [, value]]) => [name, value]));

/** A model whose attention is even, but for a weight on the position itself that is `own` bytes. */
function sideOf(/** @type {number} */ number, /** @type {number} */ own, size = SIZE) {
  const area = size * size;
  // A quarter, 0x3400 in half precision: the first position's differs from nothing by that, the others by nothing.
  const low = new Uint8Array(2 * area);
  const high = Uint8Array.from(low, (_, index) => (index % area < size ? 0x68 : 0));
  const relevance = [0, 1, 2].flatMap(() => [...low, ...high]);
  const attention = Uint8Array.from({ length: 2 * 2 * area }, (_, index) => ((index % area) % (size + 1) ? 100 : own));
  const packed = new Uint8Array([...relevance, ...attention]);
  const meta = { ...data.sentences[0].sides[0], .../** @type {any} */ (data.sentences[0].sides[number]) };
  meta.tokens = Array.from({ length: size }, (_, place) => meta.tokens[place] ?? `token ${place}`);
  return new Side(meta, data.methods, {}, data.sentences[0].kept, packed, data.models[number]);
}

const sentence = /** @type {any} */ ({ ...data.sentences[0], index: 0, sides: [sideOf(0, 150), sideOf(1, 200)] });

/** @param {Partial<State>} choice */
function chosen(choice) {
  Object.assign(state, first, choice);
  fit(sentence);
  return contextOf(sentence);
}

const CHOICES = [
  {},
  { models: "diff", word: 1 },
  { models: "b", strength: "attention", trace: "all", map: "layers", measure: "entropy" },
  { strength: "flow", word: 2, position: 1, measure: "change", order: "value", map: "method" },
  { trace: "both", word: 1, from: 2, head: 1, asked: "position", measure: "to the previous", order: "change" },
];

/** Numbers of a mark that say where it stands. */
const places = (/** @type {Mark} */ mark) =>
  Object.entries(mark).filter(([name]) => ["x", "y", "r", "width", "height", "line", "opacity"].includes(name));

for (const view of VIEWS) {
  test(`${view.name}: whatever is chosen, marks stand in the picture and the table is one`, () => {
    for (const choice of CHOICES) {
      for (const [width, tall] of /** @type {[number, number | null][]} */ ([
        [300, null],
        [900, 600],
      ])) {
        const context = chosen(choice);
        const scene = view.draw(context, width, tall);
        assert(scene.height > 0 && scene.marks.length > 0);
        for (const mark of scene.marks) {
          for (const [name, value] of places(mark))
            assert(Number.isFinite(value), `${name} of a ${mark.kind} is ${value}`);
          if ("x" in mark) assert(mark.x >= -1 && mark.x <= width + 1, `${mark.kind} at ${mark.x} of ${width}`);
          const said = mark.tip?.();
          if (said) assert(said.slice(1).every((line) => line.length === 2 && !String(line[1]).includes("undefined")));
        }
        const [head, ...rows] = scene.table();
        for (const row of rows) assert.equal(row.length, head.length);
      }
    }
  });
}

test("tables have the models' numbers", () => {
  const context = chosen({ models: "both", position: 2, layer: 1 });
  const [head, ...rows] =
    VIEWS.find(({ name }) => name === "words")
      ?.draw(context, 900, null)
      .table() ?? [];
  assert.deepEqual(head, ["method", "layer", "position", "token", "token_text", "first", "second", "change"]);
  assert.equal(rows.length, 3 * SIZE);
  for (const row of rows) assert.deepEqual(row.slice(5), [0.25, 0.25, 0]);
});

test("arcs of a difference are those in which the heads chosen differ", () => {
  const { arcs, counts } = chosen({
    models: "diff",
    strength: "attention",
    trace: "all",
    threshold: 0.1,
    heads: "1.1_2.1",
    special: "1",
  });
  // Of the heads chosen; all fused are the library's own, and here the same in both.
  assert.equal(arcs.length, 2 * SIZE);
  for (const { from, to, a, b, kind } of arcs) {
    assert.equal(from, to);
    assert(Math.abs(b - a - ((200 / 255) ** 2 - (150 / 255) ** 2)) < 1e-6);
    assert.equal(kind, "b");
  }
  assert.equal(counts.a, 0);
});

test("special tokens that are hidden leave the part that came from words, and no arcs of their own", () => {
  const whole = chosen({ models: "a", position: 1, special: "1" });
  const words = chosen({ models: "a", position: 1 });
  for (const [step, nodes] of words.graphs[0].nodes.entries()) {
    const all = whole.graphs[0].nodes[step];
    nodes.forEach((value, position) => assert(value <= all[position] + 1e-9));
  }
  const input = words.graphs[0].nodes[0];
  assert.deepEqual([input[0], input[3]], [0, 0]);
  assert(Math.abs(input[1] - whole.graphs[0].nodes[0][1]) < 1e-9);
  const { arcs } = chosen({ models: "a", position: 1, strength: "attention", trace: "all", threshold: 0 });
  assert(arcs.length > 0 && arcs.every(({ from, to }) => ![0, 3].includes(from) && ![0, 3].includes(to)));
});

test("an arc is one model's where it is twice as strong there, whatever the threshold", () => {
  assert.deepEqual(
    [kindOf(0.0063, 0.0032, false, false), kindOf(0.0063, 0.0031, false, false), kindOf(0, 0.1, false, false)],
    ["shared", "a", "b"],
  );
});

test("the note counts arcs between positions, as the automatic threshold does, and a position's own apart", () => {
  for (const models of ["both", "a"]) {
    const context = chosen({ strength: "attention", trace: "all", models, special: "1" });
    const between = context.arcs.filter(({ from, to }) => from !== to).length;
    assert(between > 0);
    assert.equal(context.over - context.own, between);
    assert.equal(
      Object.values(context.counts).reduce((sum, count) => sum + count, 0),
      between,
    );
    assert.match(arcsNote(context), new RegExp(`: ${between} arcs between positions of at least`));
    assert.equal(/ from a position to itself/.test(arcsNote(context)), context.own > 0);
  }
});

test("heat maps of many tokens stay within the picture, those of two models too", () => {
  const heat = VIEWS.find(({ name }) => name === "heat");
  for (const size of [12, 40, 120, 500]) {
    const wide = /** @type {any} */ ({ ...sentence, sides: [sideOf(0, 150, size), sideOf(1, 200, size)] });
    Object.assign(state, first);
    fit(wide);
    for (const width of [355, 613, 1500]) {
      const marks = heat?.draw(contextOf(wide), width, null).marks ?? [];
      const maps = marks.filter(({ kind }) => kind === "raster");
      assert.equal(maps.length, 2);
      for (const map of maps) {
        assert(map.kind === "raster" && map.x + map.width <= width, `${size} tokens in ${width}`);
        assert(map.width === map.height && map.width >= Math.min(3 * size, width - 90));
      }
    }
  }
});

test("what a view says where it has nothing to draw is said whole, in lines that fit", () => {
  const [ask] = VIEWS.filter(({ name }) => name === "ask");
  for (const width of [200, 355, 900]) {
    const { marks, height } = ask.draw(chosen({}), width, null);
    const lines = marks.map((mark) => (mark.kind === "text" ? mark.text : ""));
    assert.equal(lines.join(" "), "Choose a word, by a click on it anywhere, by Search, or by the keys < and >.");
    for (const mark of marks) assert(mark.kind === "text" && mark.text.length * 6 <= width && mark.y + 10 <= height);
  }
});

test("titles of tables of predictions stand apart", () => {
  const [predictions] = VIEWS.filter(({ name }) => name === "predictions");
  for (const width of [340, 640, 1500]) {
    const { marks } = predictions.draw(chosen({}), width, null);
    const titles = marks.filter((mark) => mark.kind === "text" && mark.bold);
    assert(titles.length > 0);
    for (const [at, mark] of titles.entries()) {
      assert(mark.kind === "text" && mark.x + mark.text.length * 6.6 <= width);
      const next = titles[at + 1];
      if (next?.kind === "text") assert(next.y > mark.y || next.x >= mark.x + mark.text.length * 6.6);
    }
  }
});
