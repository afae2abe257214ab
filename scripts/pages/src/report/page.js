// The data, and what follows from them for the whole page.

import { byId } from "../shared/dom.js";
import { unitsOf } from "../shared/units.js";

/** @type {ReportData} */
export const data = JSON.parse(byId("data").textContent);

export const IMAGES = Boolean(data.examples[0]?.picture);
// A text of the page's own, in words or in patches. What the data say never goes through here.
export const inUnits = unitsOf(IMAGES);
