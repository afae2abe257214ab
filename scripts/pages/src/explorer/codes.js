// How numbers are kept in the page, and unpacked.

import { bytesOf } from "../shared/base64.js";

// Half-precision floats by their bits, and what a byte of attention stands for: the square of its share of 255.
export const HALF = Float32Array.from({ length: 65536 }, (_, bits) => {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
});

export const SQUARE = Float32Array.from({ length: 256 }, (_, level) => (level / 255) ** 2);

/**
 * Numbers by their codes in a table, without a function call each.
 *
 * @param {Uint8Array | Uint16Array} codes
 * @param {Float32Array} table
 * @param {number} start
 * @param {number} count
 * @returns {Row}
 */
export function looked(codes, table, start, count) {
  const found = new Float32Array(count);
  for (let index = 0; index < count; index += 1) found[index] = table[codes[start + index]];
  return found;
}

/** @param {string} base64 */
export async function inflated(base64) {
  const stream = new DecompressionStream("deflate");
  const writer = stream.writable.getWriter();
  const written = writer.write(bytesOf(base64)).then(() => writer.close());
  const parts = [];
  let size = 0;
  for (const reader = stream.readable.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
  }
  await written;
  const found = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    found.set(part, at);
    at += part.length;
  }
  return found;
}
