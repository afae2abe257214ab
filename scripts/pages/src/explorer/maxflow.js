// One maximum flow from a word to a target, by Dinic's algorithm on the layered graph, so that its arcs can be drawn.
// Where tokens are shown its value is the library's; which of several maximum flows is found is a matter of order.

const SLACK = 1e-12;

/**
 * @param {Matrix[]} mixings
 * @param {number} size
 * @param {number} word
 * @param {number} target
 */
export function maximumFlow(mixings, size, word, target) {
  const steps = mixings.length;
  // Room left on each arc, and what flows on it. Above the last layer only the target counts.
  const room = mixings.map((mixing, step) =>
    step === steps - 1
      ? mixing.map((weight, index) => (Math.floor(index / size) === target ? weight : 0))
      : Float64Array.from(mixing),
  );
  const flow = mixings.map(() => new Float64Array(size * size));
  const source = word;
  const sink = steps * size + target;
  let value = 0;
  for (;;) {
    const level = levels(room, flow, size, source);
    if (level[sink] < 0) break;
    const next = new Int32Array(level.length);
    for (let pushed = Infinity; pushed > 0; value += pushed) {
      pushed = push({ room, flow, size, sink, level, next }, source, Infinity);
    }
  }
  const nodes = Array.from({ length: steps + 1 }, (_, step) => {
    const through = new Float64Array(size);
    (flow[step] ?? flow[step - 1]).forEach((amount, index) => {
      through[step < steps ? index % size : Math.floor(index / size)] += amount;
    });
    return through;
  });
  return { value, arcs: flow, nodes };
}

/**
 * Distance of each node from the source over arcs with room, or with a flow to take back; -1 where there is no way.
 *
 * @param {Matrix[]} room
 * @param {Float64Array[]} flow
 * @param {number} size
 * @param {number} source
 */
function levels(room, flow, size, source) {
  const level = new Int32Array((room.length + 1) * size).fill(-1);
  const queue = [source];
  level[source] = 0;
  for (let head = 0; head < queue.length; head += 1) {
    const node = queue[head];
    const step = Math.floor(node / size);
    const at = node % size;
    for (let other = 0; other < size; other += 1) {
      const up = (step + 1) * size + other;
      const down = (step - 1) * size + other;
      if (step < room.length && level[up] < 0 && room[step][other * size + at] > SLACK) {
        level[up] = level[node] + 1;
        queue.push(up);
      }
      if (step > 0 && level[down] < 0 && flow[step - 1][at * size + other] > SLACK) {
        level[down] = level[node] + 1;
        queue.push(down);
      }
    }
  }
  return level;
}

/**
 * Pushes along one shortest path; what a node has tried in vain it does not try again.
 *
 * @param {{ room: Matrix[], flow: Float64Array[], size: number, sink: number, level: Int32Array, next: Int32Array }} net
 * @param {number} node
 * @param {number} most
 * @returns {number}
 */
function push(net, node, most) {
  const { room, flow, size, sink, level, next } = net;
  if (node === sink) return most;
  const step = Math.floor(node / size);
  const at = node % size;
  for (; next[node] < 2 * size; next[node] += 1) {
    const isUp = next[node] < size;
    const other = next[node] % size;
    if (isUp ? step >= room.length : step === 0) continue;
    const to = (isUp ? step + 1 : step - 1) * size + other;
    if (level[to] !== level[node] + 1) continue;
    const [layer, index] = isUp ? [step, other * size + at] : [step - 1, at * size + other];
    const free = isUp ? room[layer][index] : flow[layer][index];
    if (free <= SLACK) continue;
    const pushed = push(net, to, Math.min(most, free));
    if (pushed > 0) {
      room[layer][index] -= isUp ? pushed : -pushed;
      flow[layer][index] += isUp ? pushed : -pushed;
      return pushed;
    }
  }
  return 0;
}
