// Sentences counted by predictions and labels.

import { data, PAIR } from "./page.js";
import { state } from "./state.js";

/** @param {string | number | null | undefined} label */
export const known = (label) => label !== null && label !== undefined;

// Pairs of what is counted: name, title of the rows and of the columns, and both of a sentence.
/** @type {Confusion[]} */
export const CONFUSIONS = [
  ...(PAIR
    ? [
        {
          name: "pair",
          rows: data.models[0].name,
          columns: data.models[1].name,
          of: (/** @type {SentenceMeta | Sentence} */ sentence) => [
            sentence.sides[0].prediction,
            sentence.sides[1].prediction,
          ],
        },
      ]
    : []),
  ...data.models.map((model, number) => ({
    name: `label${number}`,
    rows: "label",
    columns: model.name,
    of: (/** @type {SentenceMeta | Sentence} */ sentence) => [sentence.label, sentence.sides[number].prediction],
  })),
].filter(({ of }) => data.sentences.some((sentence) => of(sentence).every(known)));

export const confusionLabels = [
  ...new Set(CONFUSIONS.flatMap(({ of }) => data.sentences.flatMap((sentence) => of(sentence).filter(known)))),
].sort();

/** @param {Confusion} table */
export function confusionOf(table) {
  const counts = confusionLabels.map(() => confusionLabels.map(() => 0));
  for (const sentence of data.sentences) {
    const [row, column] = table.of(sentence).map((label) => confusionLabels.indexOf(label ?? ""));
    if (row >= 0 && column >= 0) counts[row][column] += 1;
  }
  return counts;
}

/**
 * Whether a sentence is in the chosen cell.
 *
 * @param {SentenceMeta | Sentence} sentence
 */
export function inCell(sentence) {
  if (!state.cell) return true;
  const [name, row, column] = state.cell.split(".");
  const table = CONFUSIONS.find((other) => other.name === name);
  if (!table) return true;
  const [one, other] = table.of(sentence);
  return one === confusionLabels[Number(row)] && other === confusionLabels[Number(column)];
}

/** @param {SideMeta | Side} side */
export const confidence = (side) => side.probabilities?.[side.prediction ?? ""] ?? null;
