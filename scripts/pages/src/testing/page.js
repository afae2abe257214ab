// A page without a browser, for tests of modules that read its data when they are loaded.

/** What a page says of two models with two layers of two heads, and of two sentences. */
export function explorerData() {
  const side = { prediction: "good", probabilities: { good: 0.75, bad: 0.25 }, loss: 0.3, scales: {}, apart: {} };
  const tokens = ["[CLS]", "a", "b", "[SEP]"];
  const whole = {
    ...side,
    tokens,
    source: [-1, 0, 0, -1],
    pieces: tokens.map((token) => ["", token]),
    joined: [0, 0, 0, 0],
  };
  const sentence = {
    text: "a b",
    pair: null,
    label: null,
    queries: {},
    kept: { bits: 10, steps: 255, fused: [] },
    flows_certified: 1,
    mean_change: 0.1,
    moved: 0.2,
  };
  const model = { layers: 2, heads: 2, measures: {} };
  return {
    models: [
      { ...model, name: "before" },
      { ...model, name: "after" },
    ],
    methods: ["raw", "rollout", "flow"],
    lead: null,
    last: false,
    first: {},
    measures: [],
    roles: null,
    settings: { residual: 0.5, mixing: "attention (heads mean, residual 0.5)" },
    versions: { jaxflow: "0" },
    total: 2,
    sentences: [1, 2].map((id) => ({ ...sentence, id, change: [0, 0.1, 0.2, 0.1], sides: [whole, side] })),
  };
}

/**
 * Puts a document with some data where modules look for it; import them after that.
 *
 * @param {object} data
 */
export function standIn(data) {
  const pen = {
    measureText: () => ({ width: 0 }),
    putImageData: () => {},
    createImageData: (/** @type {number} */ width, /** @type {number} */ height) => ({
      data: new Uint8ClampedArray(4 * width * height),
    }),
  };
  const element = () => ({
    style: {},
    dataset: {},
    append: () => {},
    setAttribute: () => {},
    addEventListener: () => {},
    getContext: () => pen,
  });
  const document = {
    documentElement: element(),
    getElementById: () => ({ ...element(), textContent: JSON.stringify(data) }),
    createElement: element,
    createTextNode: String,
  };
  const window = { matchMedia: () => ({ matches: false }), innerHeight: 900 };
  const style = { getPropertyValue: (/** @type {string} */ name) => `colour of ${name}` };
  Object.assign(globalThis, { document, window, getComputedStyle: () => style });
}
