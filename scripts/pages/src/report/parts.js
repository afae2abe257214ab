// A text in two parts, sources and targets: what a position of the second part explains, and names for people. Nothing
// here touches the page.

/**
 * The token that a query explains: the one that its position predicted. Null where that is no token of the text.
 *
 * @param {ReportExample} example
 * @param {number} query
 */
export const explainedBy = (example, query) => example.parts?.explained[query] ?? null;

/**
 * Whether a token was not there yet when a query's position was read.
 *
 * @param {ReportExample} example
 * @param {number} query
 * @param {number} token
 */
export const isLater = ({ parts, queries }, query, token) =>
  parts !== null && queries[query] >= parts.start && token > queries[query];

/**
 * The token to mark: the one that is explained, or the query's own position.
 *
 * @param {ReportExample} example
 * @param {number} query
 */
export const marked = (example, query) => explainedBy(example, query) ?? example.queries[query];

/**
 * Whether a query is of the last position, which predicts what follows the text.
 *
 * @param {ReportExample} example
 * @param {number} query
 */
export const explainsNext = ({ parts, queries, tokens }, query) =>
  parts !== null && queries[query] === tokens.length - 1;

/**
 * A query for people: the token that it explains, or its position.
 *
 * @param {ReportExample} example
 * @param {number} query
 */
export function queryName(example, query) {
  const token = explainedBy(example, query);
  if (token !== null) return `${token}  ${example.tokens[token]}`;
  if (explainsNext(example, query)) return `next  ${example.prediction ?? ""}`.trimEnd();
  return `${example.queries[query]}  ${example.tokens[example.queries[query]]}`;
}

/**
 * The query to begin with: of a text in two parts the last one, else as it was.
 *
 * @param {ReportExample} example
 * @param {number} before
 */
export const firstQuery = ({ parts, queries }, before) =>
  parts ? queries.length - 1 : Math.min(before, queries.length - 1);

/**
 * A layer for people, whole and short: "decoder 1 cross" and "C1"; its number in models of one sequence.
 *
 * @param {number} encoderLayers
 * @param {number} layer
 * @returns {{ whole: string, short: string }}
 */
export function layerName(encoderLayers, layer) {
  if (!encoderLayers) return { whole: String(layer), short: String(layer) };
  if (layer <= encoderLayers) return { whole: `encoder ${layer}`, short: `E${layer}` };
  // A decoder's layer is two: self-attention, then cross-attention.
  const above = layer - encoderLayers - 1;
  const number = Math.floor(above / 2) + 1;
  const part = above % 2 ? "cross" : "self";
  return { whole: `decoder ${number} ${part}`, short: `${part[0].toUpperCase()}${number}` };
}
