// The data, and what follows from them for the whole page.

import { byId } from "../shared/dom.js";
import { unitsOf } from "../shared/units.js";

/** @type {SummaryData} */
export const data = JSON.parse(byId("data").textContent);

// A text of the page's own, in words or in patches. What the data say never goes through here.
export const inUnits = unitsOf(data.images);
