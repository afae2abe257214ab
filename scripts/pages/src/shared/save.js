// A file for the reader, made in the page.

import { make } from "./dom.js";

/**
 * @param {string} file
 * @param {Blob} blob
 */
export function saved(file, blob) {
  const link = make("a", { href: URL.createObjectURL(blob), download: file });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
