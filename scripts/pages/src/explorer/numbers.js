// Numbers as they are shown, and in boxes.

import { format } from "../shared/format.js";

// By the bits that are kept of a number's fraction, the digits that can be trusted.
const WRITERS = /** @type {[number, (value: number) => string][]} */ (
  [
    [10, 4],
    [6, 3],
    [0, 2],
  ].map(([bits, digits]) => [bits, format(`.${digits}~r`)])
);
let write = WRITERS[0][1];

/**
 * From now on numbers are shown with as many digits as the sentence has.
 *
 * @param {Kept} kept
 */
export function trust({ bits }) {
  write = WRITERS.find(([least]) => bits >= least)?.[1] ?? write;
}

/** @param {number | null | undefined} value */
export const digits = (value) =>
  value === null || value === undefined || Number.isNaN(value)
    ? "not computed"
    : value === 0
      ? "0"
      : Math.abs(value) >= 1e-3
        ? write(value)
        : Number(value).toExponential(2);

/**
 * Lines of a box for one number of each model that is shown, and their difference.
 *
 * @param {{ names: string[] }} context
 * @param {(number | null | undefined)[]} values
 * @returns {[string, string][]}
 */
export function perModel(context, values) {
  /** @type {[string, string][]} */
  const lines = values.map((value, number) => [context.names[number], digits(value)]);
  if (values.length === 2) {
    const change = (values[1] ?? NaN) - (values[0] ?? NaN);
    lines.push(["change", `${change > 0 ? "+" : ""}${digits(change)}`]);
  }
  return lines;
}
