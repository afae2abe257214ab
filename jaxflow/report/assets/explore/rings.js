// Token rings (after DeRose, Wang & Berger 2020): layers as rings, from the words outside to the chosen position in the
// middle; words keep their angles.

const GAP = 0.3; // angle left free at the top, for the layers' numbers

const ringsView = (context, width, tall) => arcsView(context, width, tall, ringsOf);

function ringsOf(context, width, tall) {
  const { size, words, trace } = context;
  const longest = d3.max(words, (word) => Array.from(word).length);
  const side = Math.min(width, tall ?? 620), margin = Math.min(18 + 6.2 * longest, 92, side * 0.17), outer = side / 2 - margin;
  const middle = { x: width / 2, y: side / 2 }, steps = context.to - context.from + 1;
  // A trace that ends in one position has it in the middle; else all positions keep a small ring.
  const centred = trace === "back" || trace === "both", inner = centred ? 0 : outer * 0.16;
  const radius = linear([0, steps], [outer, inner]);
  const angle = (position) => GAP / 2 + ((2 * Math.PI - GAP) * (position + 0.5)) / size;
  const place = (step, position) => ({ angle: angle(position), radius: radius(step) });
  const marks = [];
  for (let step = 0; step <= steps; step += 1) {
    marks.push({ kind: "circle", ...middle, r: Math.max(radius(step), 1), stroke: colours().line, line: context.layer === context.from - 1 + step ? 2 : 0.8 });
  }
  const link = d3.linkRadial().angle((end) => end.angle).radius((end) => end.radius);
  for (const arc of context.arcs.toReversed()) {
    const step = arc.layer - context.from, source = place(step, arc.from), target = place(step + 1, arc.to);
    if (centred && step === steps - 1) target.angle = source.angle;
    // D3's radial links stand around the origin.
    marks.push({ ...arcMark(context, arc, curveFrom(link, { source, target })), shift: [middle.x, middle.y] });
  }
  for (let step = 0; step <= steps && steps <= 14; step += 1) {
    const name = step ? `${context.from - 1 + step}` : context.from === 1 ? "words" : `${context.from - 1}`;
    if (radius(step) > 12) marks.push({ kind: "text", x: middle.x, y: middle.y - radius(step), text: name, size: 9, halo: true, anchor: "middle", fill: colours().soft, is: step ? { layer: context.from - 1 + step } : null });
  }
  marks.push(...ringNodes(context, place, middle, steps, centred));
  words.forEach((word, token) => marks.push(ringLabel(context, word, token, angle(token), outer, middle, margin)));
  if (centred) {
    marks.push({ kind: "circle", ...middle, r: 4, fill: colours().target, tip: () => [`${words[state.position]} at position ${state.position}`, ["layer", context.to]] });
    marks.push({ kind: "text", x: middle.x, y: middle.y + 13, text: short(words[state.position]), anchor: "middle", size: 11, bold: true, halo: true, fill: colours().target });
  }
  return { height: side, marks };
}

function ringNodes(context, place, middle, steps, centred) {
  const marks = [], dots = [];
  for (let step = 0; step < steps + (centred ? 0 : 1); step += 1) {
    for (let position = 0; position < context.size; position += 1) {
      const value = Math.max(...context.graphs.map(({ nodes }) => nodes[step][position]));
      const { angle, radius } = place(step, position), [x, y] = d3.pointRadial(angle, radius);
      const mark = nodeMark(context, step, position, { x: x + middle.x, y: y + middle.y }, value);
      if (isSmall(mark)) dots.push(mark);
      else marks.push(mark);
    }
  }
  return [dotsMark(dots), ...marks];
}

function ringLabel(context, word, token, angle, outer, middle, margin) {
  const [x, y] = d3.pointRadial(angle, outer + 9), left = angle > Math.PI;
  const turn = (angle * 180) / Math.PI - 90;
  const most = Math.max(5, Math.floor((margin - 12) / 6));
  return { kind: "text", x: x + middle.x, y: y + middle.y, text: short(word, most), size: context.size > 60 ? 8 : 11, turn: left ? turn + 180 : turn, anchor: left ? "end" : "start", ...wordLook(context, token), is: { word: token }, tip: () => wordTip(context, token) };
}
