// Tables as CSV files: numbers with all their digits, texts quoted where they must be, and none that would run.

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
// How a formula may begin; spreadsheets pass over blanks, and some take the wide signs too.
const FORMULA = /^\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

/** @param {Cell[][]} table */
export const csvText = (table) => table.map((row) => `${row.map(csvCell).join(",")}\n`).join("");

/**
 * A spreadsheet runs a text that begins as a formula does, so it gets a quotation mark in front (OWASP, "CSV
 * injection"). Some cut lines at other signs than commas, so texts with these are quoted too.
 *
 * @param {Cell} cell
 */
function csvCell(cell) {
  if (cell === null || cell === undefined || Number.isNaN(cell)) return "";
  if (typeof cell === "number") return String(cell);
  const safe = !NUMBER.test(cell) && FORMULA.test(cell) ? `'${cell}` : cell;
  return /[",;|\t\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
