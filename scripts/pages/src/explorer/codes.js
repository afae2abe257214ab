// How numbers are kept in the page, and unpacked.

// Half-precision floats by their bits.
export const HALF = Float32Array.from({ length: 65536 }, (_, bits) => {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
});

/**
 * What a byte of attention stands for: the square of its share of the steps.
 *
 * @param {number} steps
 */
export const squares = (steps) => Float32Array.from({ length: 256 }, (_, level) => (level / steps) ** 2);

// The signs of base 85 that `jaxflow.pages.numbers` writes, and the place of each.
const SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%/()*+-;,=.?@^_:{|}~";
const PLACES = Uint8Array.from({ length: 128 }, (_, code) => Math.max(0, SIGNS.indexOf(String.fromCharCode(code))));

/**
 * Bytes from base 85: four from five signs.
 *
 * @param {string} text
 */
export function unsigned(text) {
  const groups = Math.ceil(text.length / 5);
  const found = new Uint8Array(4 * groups);
  for (let group = 0; group < groups; group += 1) {
    let value = 0;
    // Signs that lack at the end stand for the largest ones.
    for (let at = 5 * group; at < 5 * group + 5; at += 1)
      value = 85 * value + (at < text.length ? PLACES[text.charCodeAt(at)] : 84);
    for (let place = 0; place < 4; place += 1) found[4 * group + place] = value >>> (24 - 8 * place);
  }
  return found.subarray(0, found.length - (5 * groups - text.length));
}

/**
 * Half-precision floats by their bits, of which a text keeps `bits` of the fraction. They are written as differences
 * from the query before, the sign in the last bit: all low bytes, then all high ones.
 *
 * @param {Uint8Array} packed
 * @param {number} bits
 * @param {number} layers
 * @param {number} queries
 * @param {number} size
 */
export function halves(packed, bits, layers, queries, size) {
  const count = layers * queries * size;
  const found = new Uint16Array(count);
  for (let index = 0; index < count; index += 1) {
    const folded = packed[index] | (packed[count + index] << 8);
    const first = index % (queries * size) < size;
    // Modulo 2^16, as an element of the array is.
    found[index] = ((folded >> 1) ^ -(folded & 1)) + (first ? 0 : found[index - size]);
  }
  return found.map((code) => code << (10 - bits));
}

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

/** @param {string} text */
export async function inflated(text) {
  const stream = new DecompressionStream("deflate");
  const writer = stream.writable.getWriter();
  const written = writer.write(unsigned(text)).then(() => writer.close());
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
