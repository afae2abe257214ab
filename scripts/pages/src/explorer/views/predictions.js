// Predictions of the models against each other, and against the labels where they are known; a cell filters the list.

import * as d3 from "../../shared/d3.js";
import { short, shown } from "../../shared/text.js";
import { colours, inkOn, sequential } from "../colours.js";
import { CONFUSIONS, confidence, confusionLabels, confusionOf, known } from "../confusion.js";
import { data, inUnits, PAIR } from "../page.js";
import { emptyScene } from "../scene.js";
import { state } from "../state.js";

const LABELS_SHOWN = 24;
const LETTER = 6.6; // of a title, in pixels

/**
 * @param {Context} context
 * @param {number} width
 * @returns {Scene}
 */
function predictionsView(context, width) {
  if (!CONFUSIONS.length) return { ...emptyScene(width, predictionsMissing()), table: sentencesTable };
  if (confusionLabels.length > LABELS_SHOWN)
    return {
      ...emptyScene(
        width,
        `${confusionLabels.length} different predictions are too many for a table; the CSV lists them.`,
      ),
      table: sentencesTable,
    };
  const labels = confusionLabels.map((label) => shown(label ?? ""));
  const longest = Math.min(16, d3.max(labels, (label) => Array.from(label).length) ?? 0);
  const side = 20 + longest * 6.2;
  const count = labels.length;
  const cell = Math.max(16, Math.min(44, (width / Math.min(CONFUSIONS.length, 2) - side - 20) / count));
  // As wide as its table or its title, which stands over the cells.
  const titles = CONFUSIONS.map(({ rows, columns }) => `${rows} (rows) and ${columns}`);
  const longestTitle = LETTER * Math.max(...titles.map((title) => Array.from(title).length));
  const each = Math.min(width, side + Math.max(cell * count, longestTitle) + 16);
  const across = Math.max(1, Math.floor(width / each));
  const high = cell * count + side + 40;
  const marks = CONFUSIONS.flatMap((table, number) =>
    confusionMarks(table, labels, {
      title: short(titles[number], Math.floor((each - side) / LETTER)),
      left: (number % across) * each + side,
      top: Math.floor(number / across) * high + 40,
      cell,
      longest,
    }),
  );
  const here = context.sentence;
  const cells = CONFUSIONS.map((table) =>
    table
      .of(here)
      .map((label) => shown(label ?? "none"))
      .join(" / "),
  );
  return {
    width,
    height: Math.ceil(CONFUSIONS.length / across) * high,
    marks,
    note: `${inUnits("Sentences by prediction; a click on a number lists those. This one:")} ${cells.join("; ")}.`,
    table: sentencesTable,
  };
}

const predictionsMissing = () =>
  data.sentences.some((sentence) => sentence.sides.some(({ prediction }) => known(prediction)))
    ? inUnits(
        `${PAIR ? "Only one of the two models has classes, and no text" : "There is one model alone, and no text"} has a label: nothing to set its predictions against.`,
      )
    : "These models have no classes, so there are no predictions.";

/**
 * @param {Confusion} table
 * @param {string[]} labels
 * @param {{ title: string, left: number, top: number, cell: number, longest: number }} options
 * @returns {Mark[]}
 */
function confusionMarks(table, labels, { title, left, top, cell, longest }) {
  const counts = confusionOf(table);
  const most = d3.max(counts.flat()) || 1;
  /** @type {Mark[]} */
  const marks = [];
  marks.push({
    kind: "text",
    x: left,
    y: top - 26,
    text: title,
    size: 11,
    bold: true,
  });
  labels.forEach((label, row) => {
    marks.push({
      kind: "text",
      x: left - 6,
      y: top + (row + 0.5) * cell,
      text: short(label, longest),
      size: 11,
      anchor: "end",
    });
    marks.push({
      kind: "text",
      x: left + (row + 0.5) * cell + 3,
      y: top + labels.length * cell + 8,
      text: short(label, longest),
      size: 11,
      anchor: "end",
      turn: -52,
    });
    labels.forEach((other, column) => {
      const number = counts[row][column];
      const fill = sequential(number / most);
      const name = `${table.name}.${row}.${column}`;
      /** @returns {Tip} */
      const tip = () => [
        `${number} of ${data.sentences.length} ${inUnits("sentences")}`,
        [table.rows, label],
        [table.columns, other],
      ];
      marks.push({
        kind: "rect",
        x: left + column * cell,
        y: top + row * cell,
        width: cell,
        height: cell,
        fill,
        stroke: name === state.cell ? colours().target : colours().back,
        line: name === state.cell ? 2.5 : 1,
        is: number ? { cell: name } : null,
        tip,
      });
      marks.push({
        kind: "text",
        x: left + (column + 0.5) * cell,
        y: top + (row + 0.5) * cell,
        text: String(number),
        size: 11,
        anchor: "middle",
        fill: inkOn(fill),
        quiet: true,
      });
    });
  });
  return marks;
}

/** @returns {Cell[][]} */
function sentencesTable() {
  const names = data.models.flatMap((_, number) => [
    `prediction_${number + 1}`,
    `confidence_${number + 1}`,
    `loss_${number + 1}`,
  ]);
  const rows = data.sentences.map((sentence) => [
    sentence.id,
    sentence.text,
    sentence.pair,
    sentence.label,
    ...(PAIR ? [sentence.mean_change, sentence.moved] : []),
    ...sentence.sides.flatMap((side) => [side.prediction, confidence(side), side.loss]),
  ]);
  return [["id", "text", "pair", "label", ...(PAIR ? ["change", "moved"] : []), ...names], ...rows];
}

export const predictions = {
  name: "predictions",
  column: 0,
  title: "Predictions",
  help: "The models against each other, and against labels",
  draw: predictionsView,
  uses: ["sentence", "cell"],
};
