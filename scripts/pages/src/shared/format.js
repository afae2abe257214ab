// How D3 writes numbers, on axes too.

import { formatDefaultLocale } from "./d3.js";

// A hyphen for what is below zero, as JavaScript has it: a copied number can be read again anywhere.
export const { format } = formatDefaultLocale({
  decimal: ".",
  thousands: ",",
  grouping: [3],
  currency: ["$", ""],
  minus: "-",
});
