// What is chosen, in the page's address.

import { toHash } from "./state.js";

/** @type {ReturnType<typeof setTimeout> | undefined} */
let hashTimer;

export function writeHashSoon() {
  clearTimeout(hashTimer);
  hashTimer = setTimeout(writeHash, 200);
}

export function writeHash() {
  clearTimeout(hashTimer);
  const hash = `#${toHash()}`;
  if (location.hash === hash || (hash === "#" && !location.hash)) return;
  try {
    history.replaceState(null, "", hash);
  } catch {
    // In a notebook's frame the page has no address of its own.
  }
}
