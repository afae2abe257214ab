// The chosen layer in models that may differ in depth, and their values there.

import { shown } from "../shared/text.js";
import { data } from "./page.js";
import { state } from "./state.js";

/**
 * A method's values of the chosen position and layer, a row a model; null where it was not asked for.
 *
 * @param {Picture} context
 * @param {string} method
 * @param {number} [layer]
 * @returns {(Row | null)[]}
 */
export const valuesOf = (context, method, layer = state.layer) =>
  context.sides.map((side) => side.row(method, layerIn(side, layer) - 1, state.position));

/**
 * The layer of a side that stands for the chosen one: beyond its last layer that last one.
 *
 * @param {Side} side
 * @param {number} [layer]
 */
export const layerIn = (side, layer = state.layer) => Math.min(layer, side.layers);

/** @param {Picture} options */
export const layerName = ({ sides }) =>
  sides.every((side) => layerIn(side) === state.layer)
    ? `layer ${state.layer}`
    : `layers ${sides.map((side) => layerIn(side)).join(" and ")}`;

/**
 * The same in a table: one number where all have the same layer.
 *
 * @param {Picture} options
 */
export const layersCell = ({ sides }) => [...new Set(sides.map((side) => layerIn(side)))].join(" ");

/**
 * Whether what the models make of the chosen layer can be set against each other: where both have that layer, and
 * where it is the last one of both.
 *
 * @param {Picture} options
 */
export const layersMeet = ({ sides }) =>
  sides.length < 2 || layerIn(sides[0]) === layerIn(sides[1]) || sides.every((side) => state.layer >= side.layers);

/**
 * Why there is no difference of something; nothing where there is one.
 *
 * @param {ModelMeta} model
 */
export const shapeOf = (model) => `${shown(model.name)} has ${model.layers} layers × ${model.heads} heads`;

/** @param {boolean} isThere */
export const noDifference = (isThere) =>
  isThere ? "" : ` No difference is shown here: ${data.models.map(shapeOf).join(", ")}.`;

/**
 * Columns of the numbers in a table.
 *
 * @param {Picture} options
 */
export const valueNames = ({ sides }) => (sides.length === 2 ? ["first", "second"] : ["value"]);

/**
 * What the second model's row has more than the first's; null where there is no row.
 *
 * @param {(Row | null)[]} rows
 * @returns {Row | null}
 */
export function changeOf([before, after]) {
  return before && after ? after.map((value, index) => value - before[index]) : null;
}
