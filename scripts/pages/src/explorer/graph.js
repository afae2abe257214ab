// The layered graph, as the library has it, and what passes along its arcs. Nothing here touches the page.
//
// A node is a position after a layer, layer 0 being the input. The arc from position i after layer l down to position
// j before it weighs mixing[i, j] = residual * (i == j) + (1 - residual) * attention[i, j]. A list of arcs holds one
// matrix a layer of the range, [i * size + j]. The share of a target that passes along an arc is the sum over all paths
// from the target to the input that use it: over the arcs of a layer it sums to 1, and what arrives at the input is
// attention rollout.

/**
 * Fused attention of a layer: the library's own where all heads are in, else the mean of those chosen.
 *
 * @param {Side} side
 * @param {number} layer
 * @param {Map<number, number[]> | null} chosen
 */
export function fused(side, layer, chosen) {
  const heads = chosen?.get(layer)?.filter((head) => head < side.heads);
  return heads?.length && heads.length < side.heads ? side.mean(layer, heads) : side.matrix("raw", layer);
}

/**
 * @param {Matrix} attention
 * @param {number} size
 * @param {number} share
 */
export function mixingOf(attention, size, share) {
  const found = new Float64Array(attention.length);
  for (let i = 0; i < size; i += 1) {
    for (let j = 0; j < size; j += 1)
      found[i * size + j] = (1 - share) * attention[i * size + j] + (i === j ? share : 0);
  }
  return found;
}

/**
 * @param {number} size
 * @param {number} index
 */
export const unit = (size, index) => Float64Array.from({ length: size }, (_, other) => Number(other === index));

/**
 * Shares of the target, [step][position], step 0 being the input of the range: how much of it came through a node.
 *
 * @param {Matrix[]} mixings
 * @param {number} size
 * @param {number} target
 */
export function backward(mixings, size, target) {
  const shares = [unit(size, target)];
  for (const mixing of [...mixings].reverse()) {
    const below = new Float64Array(size);
    for (let i = 0; i < size; i += 1) {
      if (shares[0][i]) for (let j = 0; j < size; j += 1) below[j] += shares[0][i] * mixing[i * size + j];
    }
    shares.unshift(below);
  }
  return shares;
}

/**
 * How much of each node came from some words of the input.
 *
 * @param {Matrix[]} mixings
 * @param {number} size
 * @param {Float64Array} words 1 for each of them
 */
export function forward(mixings, size, words) {
  const shares = [words];
  for (const mixing of mixings) {
    const above = new Float64Array(size);
    const below = shares[shares.length - 1];
    for (let i = 0; i < size; i += 1) for (let j = 0; j < size; j += 1) above[i] += mixing[i * size + j] * below[j];
    shares.push(above);
  }
  return shares;
}

/**
 * Arcs by shares: of the target, from some words, or of what goes from these words to the target.
 *
 * @param {Matrix[]} mixings
 * @param {number} size
 * @param {number | null} target null for all positions
 * @param {Float64Array | null} words 1 for each of them; null for all
 * @returns {{ arcs: Float64Array[], nodes: Float64Array[] }}
 */
export function shareArcs(mixings, size, target, words) {
  const back = target === null ? null : backward(mixings, size, target);
  const front = words && forward(mixings, size, words);
  const arcs = mixings.map((mixing, step) => {
    const found = new Float64Array(mixing.length);
    for (let i = 0; i < size; i += 1) {
      const above = back ? back[step + 1][i] : 1;
      for (let j = 0; j < size; j += 1)
        found[i * size + j] = mixing[i * size + j] * above * (front ? front[step][j] : 1);
    }
    return found;
  });
  const nodes = Array.from({ length: mixings.length + 1 }, (_, step) =>
    Float64Array.from({ length: size }, (_, i) => (back ? back[step][i] : 1) * (front ? front[step][i] : 1)),
  );
  return { arcs, nodes };
}

/**
 * Arcs by attention, of which those that no traced path uses are 0. A path uses arcs of at least the threshold; a
 * position goes on to the next layer by itself, as the residual connection has it.
 *
 * @param {Matrix[]} attention
 * @param {number} size
 * @param {string} trace
 * @param {number} target
 * @param {number} word
 * @param {number} threshold
 * @returns {{ arcs: Float64Array[], nodes: Float64Array[] }}
 */
export function attentionArcs(attention, size, trace, target, word, threshold) {
  const steps = attention.length;
  const all = () => Array.from({ length: steps + 1 }, () => new Float64Array(size).fill(1));
  const back = all();
  const front = all();
  if (trace === "back" || trace === "both") {
    back[steps] = unit(size, target);
    for (let step = steps; step > 0; step -= 1)
      back[step - 1] = reached(attention[step - 1], size, back[step], threshold, true);
  }
  if (trace === "forward" || trace === "both") {
    front[0] = unit(size, word);
    for (let step = 0; step < steps; step += 1)
      front[step + 1] = reached(attention[step], size, front[step], threshold, false);
  }
  const arcs = attention.map((weights, step) => {
    const found = new Float64Array(weights.length);
    for (let i = 0; i < size; i += 1) {
      if (back[step + 1][i])
        for (let j = 0; j < size; j += 1) if (front[step][j]) found[i * size + j] = weights[i * size + j];
    }
    return found;
  });
  return { arcs, nodes: back.map((nodes, step) => nodes.map((node, i) => node * front[step][i])) };
}

/**
 * @param {Matrix} weights
 * @param {number} size
 * @param {Float64Array} from
 * @param {number} threshold
 * @param {boolean} down
 */
function reached(weights, size, from, threshold, down) {
  const found = Float64Array.from(from);
  for (let i = 0; i < size; i += 1) {
    for (let j = 0; j < size; j += 1) {
      if (weights[i * size + j] >= threshold && from[down ? i : j]) found[down ? j : i] = 1;
    }
  }
  return found;
}

/**
 * What passes through a node: the larger of what comes in and what goes out.
 *
 * @param {Matrix[]} arcs
 * @param {number} size
 * @returns {Float64Array[]}
 */
export function nodeHeights(arcs, size) {
  const nodes = Array.from({ length: arcs.length + 1 }, () => new Float64Array(size));
  arcs.forEach((matrix, step) => {
    const below = new Float64Array(size);
    const above = new Float64Array(size);
    for (let i = 0; i < size; i += 1) {
      for (let j = 0; j < size; j += 1) {
        above[i] += matrix[i * size + j];
        below[j] += matrix[i * size + j];
      }
    }
    below.forEach((value, position) => (nodes[step][position] = Math.max(nodes[step][position], value)));
    above.forEach((value, position) => (nodes[step + 1][position] = Math.max(nodes[step + 1][position], value)));
  });
  return nodes;
}
