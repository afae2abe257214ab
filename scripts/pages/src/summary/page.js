// The data.

import { byId } from "../shared/dom.js";

/** @type {SummaryData} */
export const data = JSON.parse(byId("data").textContent);
