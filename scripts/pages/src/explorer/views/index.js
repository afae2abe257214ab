// All views, in the order of their panels. A new one is a file beside this one, and a name in this list: a view is one
// object, which brings its fields of the state, its controls and its keys along.

import { addFields } from "../state.js";
import { ask } from "./ask.js";
import { grid } from "./grid.js";
import { heat } from "./heat.js";
import { network } from "./network.js";
import { predictions } from "./predictions.js";
import { rings } from "./rings.js";
import { sankey } from "./sankey.js";
import { words } from "./words.js";

/** @type {View[]} */
export const VIEWS = [rings, sankey, network, heat, grid, words, ask, predictions];

for (const view of VIEWS) addFields(view.fields ?? {});

addFields({
  view: ["view", "", (text) => (text === "" || VIEWS.some(({ name }) => name === text) ? text : undefined)],
});
