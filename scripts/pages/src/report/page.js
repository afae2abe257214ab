// The data.

import { byId } from "../shared/dom.js";

/** @type {ReportData} */
export const data = JSON.parse(byId("data").textContent);
