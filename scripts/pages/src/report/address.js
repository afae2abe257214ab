// What is chosen, as the page's address holds it: by the numbers that a reader sees. Nothing here touches the page.

/**
 * @param {ReportState} state
 * @param {ReportData} data
 * @param {ReportState} first the state that has an empty address
 */
export function toHash(state, data, first) {
  const { layers, queries } = data.examples[state.index];
  const fields = new URLSearchParams();
  if (state.index) fields.set("s", String(state.index + 1));
  if (state.layer !== layers.length - 1) fields.set("l", String(layers[state.layer]));
  if (state.query !== firstOf(data, state.index)) fields.set("p", String(queries[state.query]));
  if (state.scale !== first.scale) fields.set("by", state.scale);
  if (state.special) fields.set("special", "1");
  // Methods by their places: their names are long.
  const shown = data.methods.flatMap((method, place) => (state.methods.has(method) ? [place + 1] : []));
  if (shown.length < data.methods.length) fields.set("m", shown.join("."));
  return fields.toString();
}

/**
 * What an address says; what cannot be understood is as at first.
 *
 * @param {string} hash
 * @param {ReportData} data
 * @param {ReportState} first
 * @returns {ReportState}
 */
export function fromHash(hash, data, first) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const number = (/** @type {string} */ name) => (fields.has(name) ? Number(fields.get(name)) : Number.NaN);
  const index = data.examples[number("s") - 1] ? number("s") - 1 : 0;
  const { layers, queries } = data.examples[index];
  const layer = layers.indexOf(number("l"));
  const query = queries.indexOf(number("p"));
  const by = fields.get("by") ?? "";
  const places = fields.get("m")?.split(".").map(Number);
  return {
    index,
    layer: layer < 0 ? layers.length - 1 : layer,
    query: query < 0 ? firstOf(data, index) : query,
    scale: ["row", "range", "method", "one"].includes(by) ? by : first.scale,
    special: fields.get("special") === "1",
    methods: new Set(data.methods.filter((_, place) => !places || places.includes(place + 1))),
  };
}

/**
 * The query that a page begins with: of a text in two parts the last one.
 *
 * @param {ReportData} data
 * @param {number} index
 */
const firstOf = (data, index) => (data.examples[index].parts ? data.examples[index].queries.length - 1 : 0);
