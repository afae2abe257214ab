// The data: what is said of each sentence at once, and its numbers, which are unpacked when it is first looked at.

const data = JSON.parse(byId("data").textContent);
const PAIR = data.models.length === 2;
// Of two models the deeper one's layers, and the most heads; a side has its own.
const LAYERS = Math.max(...data.models.map(({ layers }) => layers)), HEADS = Math.max(...data.models.map(({ heads }) => heads));
const SAME_DEPTH = data.models.every(({ layers }) => layers === LAYERS), SAME_SHAPE = SAME_DEPTH && data.models.every(({ heads }) => heads === HEADS);
const KEPT = 12; // sentences whose unpacked numbers are kept

// Half-precision floats by their bits, and what a byte of attention stands for: the square of its share of 255.
const HALF = Float32Array.from({ length: 65536 }, (_, bits) => {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
});
const SQUARE = Float32Array.from({ length: 256 }, (_, level) => (level / 255) ** 2);

// Numbers by their codes in a table, without a function call each.
function looked(codes, table, start, count) {
  const found = new Float32Array(count);
  for (let index = 0; index < count; index += 1) found[index] = table[codes[start + index]];
  return found;
}

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64), found = new Uint8Array(text.length);
  for (let index = 0; index < found.length; index += 1) found[index] = text.charCodeAt(index);
  return found;
}

const floatsOf = (base64) => new Float32Array(bytesOf(base64).buffer);

async function inflated(base64) {
  const stream = new DecompressionStream("deflate"), writer = stream.writable.getWriter();
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

// One model's numbers of one sentence. Layers and heads count from 0 here; `position` and `token` are indices.
class Side {
  constructor(meta, queries, packed, { layers, heads }) {
    Object.assign(this, meta, { layers, heads });
    this.size = meta.tokens.length;
    this.words = meta.tokens.map(shown);
    this.values = {};
    this.queries = queries;
    let start = 0;
    for (const method of data.methods) {
      const count = layers * this.asked(method).length * this.size;
      this.values[method] = new Uint16Array(packed.buffer, 2 * start, count);
      start += count;
    }
    this.attention = packed.subarray(2 * start);
    this.matrices = new Map();
  }

  // Positions that a method was asked for.
  asked(method) {
    return this.queries[method] ?? (this.every ??= Array.from({ length: this.size }, (_, position) => position));
  }

  // What each token is worth to a position after a layer; null where the method was not asked for it.
  row(method, layer, position) {
    const asked = this.asked(method), row = this.queries[method] ? asked.indexOf(position) : position;
    if (row < 0) return null;
    return looked(this.values[method], HALF, (layer * asked.length + row) * this.size, this.size);
  }

  // A method's matrix of a layer, a row a position (NaN where it was not asked for).
  matrix(method, layer) {
    return this.kept(`${method} ${layer}`, () => {
      if (!this.queries[method]) return looked(this.values[method], HALF, layer * this.size ** 2, this.size ** 2);
      const found = new Float32Array(this.size ** 2).fill(NaN);
      for (const position of this.asked(method)) found.set(this.row(method, layer, position), position * this.size);
      return found;
    });
  }

  // Attention of one head: a row a position.
  head(layer, head) {
    const area = this.size ** 2, start = (layer * this.heads + head) * area;
    return this.kept(`head ${layer} ${head}`, () => looked(this.attention, SQUARE, start, area));
  }

  weight(layer, head, position, token) {
    return SQUARE[this.attention[((layer * this.heads + head) * this.size + position) * this.size + token]];
  }

  // The mean of some heads of a layer.
  mean(layer, heads) {
    return this.kept(`mean ${layer} ${heads}`, () => {
      const sum = new Float32Array(this.size ** 2);
      for (const head of heads) {
        const weights = this.head(layer, head);
        for (let index = 0; index < sum.length; index += 1) sum[index] += weights[index] / heads.length;
      }
      return sum;
    });
  }

  kept(key, makeIt) {
    if (!this.matrices.has(key)) this.matrices.set(key, makeIt());
    return this.matrices.get(key);
  }
}

const loaded = new Map();

// A block of numbers, once it is there: the page can be used while what stands behind in it is still being read.
async function block(id) {
  while (document.readyState === "loading" && !byId(id)?.nextSibling) await new Promise((done) => setTimeout(done, 10));
  return byId(id).textContent;
}

// A sentence with its numbers: what the page knows of it, and one `Side` a model.
async function load(index) {
  if (!loaded.has(index)) {
    const meta = data.sentences[index];
    const sides = meta.sides.map(async (side, number) => {
      const whole = number ? { ...meta.sides[0], ...side } : side;
      return new Side(whole, meta.queries, await inflated(await block(`numbers-${index}-${number}`)), data.models[number]);
    });
    loaded.set(index, Promise.all(sides).then((found) => ({ ...meta, index, sides: found })));
    if (loaded.size > KEPT) loaded.delete(loaded.keys().next().value);
  }
  return loaded.get(index);
}
