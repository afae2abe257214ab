// Room for labels.

/**
 * Places near those wanted, at least a gap apart and within bounds as far as there is room; the order stays.
 *
 * @param {number[]} wanted ascending
 * @param {number} gap
 * @param {number} low
 * @param {number} high
 * @returns {number[]}
 */
export function movedApart(wanted, gap, low, high) {
  const places = [...wanted];
  // Downward, each makes room for the next; then upward again, as far as the end pushes them back.
  for (let at = 0; at < places.length; at += 1) places[at] = Math.max(places[at], at ? places[at - 1] + gap : low);
  for (let at = places.length - 1; at >= 0; at -= 1)
    places[at] = Math.min(places[at], at + 1 < places.length ? places[at + 1] - gap : high);
  return places;
}
