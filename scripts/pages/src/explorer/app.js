// Choosing, and drawing what was chosen once a frame.

import { choose } from "./state.js";

/** @type {Context | null} */
let context = null; // what the views draw from
/** @type {Promise<void> | null} */
let drawing = null; // the next drawing, where one is due
let busy = 0;
let turn = 0; // number of the last choice
let drawnTurn = -1; // and of the one that is drawn
/** @type {() => Promise<(() => unknown) | undefined>} */
let draw = async () => undefined;

/**
 * What the views draw from now; null until the first sentence is there, when nothing can be chosen yet.
 *
 * @returns {Context}
 */
export const now = () => /** @type {Context} */ (context);

export const turnNow = () => turn;

// Whether all that was chosen is drawn, as far as it is in sight.
export const isDrawn = () => Boolean(context) && turn === drawnTurn;

/**
 * How the page is drawn: `how` gives what is left to do when all that is in sight is drawn.
 *
 * @param {() => Promise<(() => unknown) | undefined>} how
 */
export function drawBy(how) {
  draw = how;
}

/**
 * The views draw from this, and the last choice is drawn with it.
 *
 * @param {Context} found
 */
export function show(found) {
  context = found;
  drawnTurn = turn;
}

/** @param {Partial<State>} changes */
export function set(changes) {
  choose(changes);
  return render();
}

// Draws once a frame at most; what this gives is kept when all that is in sight is drawn.
export function render() {
  turn += 1;
  drawing ??= new Promise((/** @type {() => void} */ done) => {
    requestAnimationFrame(() => {
      drawing = null;
      busy += 1;
      void draw()
        .then((rest) => {
          done();
          return rest?.();
        })
        .finally(() => {
          busy -= 1;
          done();
        });
    });
  });
  return drawing;
}

// When nothing is left to draw.
export async function settled() {
  while (drawing || busy) await (drawing ?? new Promise((done) => setTimeout(done, 5)));
}
