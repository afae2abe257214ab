// Rings and network draw the same arcs: of two models in one picture, or, where the models differ in depth, in two.

import { short } from "../../shared/text.js";
import { colours } from "../colours.js";
import { noDifference } from "../layers.js";
import { arcsNote, arcsTable } from "../marks.js";
import { beside, moved, standsBeside } from "../scene.js";

/**
 * @param {Context} context
 * @param {number} width
 * @param {number | null} tall
 * @param {(picture: Picture, width: number, tall: number | null) => Drawing} draw
 * @returns {Scene}
 */
export function arcsView(context, width, tall, draw) {
  const { pictures } = context;
  const across = standsBeside(pictures.length, width);
  const each = width / across;
  if (pictures.length === 1)
    return { ...draw(context, width, tall), width, note: arcsNote(context), table: () => arcsTable(context) };
  const scenes = pictures.map((picture) => {
    const { marks, height } = draw(picture, each, tall && tall / (pictures.length / across) - 16);
    /** @type {TextMark} */
    const name = {
      kind: "text",
      x: 4,
      y: 9,
      text: short(picture.names[0], Math.floor(each / 7)),
      size: 11,
      bold: true,
      fill: colours()["ab"[picture.numbers[0]]],
    };
    return {
      marks: [name, ...marks.map((mark) => moved(mark, 0, 16))],
      height: height + 16,
    };
  });
  const note = `${pictures.map((picture) => `${picture.names[0]}: ${arcsNote(picture)}`).join(" ")}${context.diff ? noDifference(false) : ""}`;
  return { ...beside(scenes, width), width, note, table: () => picturesTable(pictures) };
}

/**
 * The tables one below the other, each row with its model.
 *
 * @param {Picture[]} pictures
 * @returns {Cell[][]}
 */
function picturesTable(pictures) {
  const tables = pictures.map(arcsTable);
  return [
    ["model", ...tables[0][0]],
    ...tables.flatMap(([, ...rows], number) => rows.map((row) => [pictures[number].names[0], ...row])),
  ];
}
