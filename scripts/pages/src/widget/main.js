// The explorer in a notebook, as an anywidget: the page in a frame, what is chosen in it as the model's values.

/** Of the model, and of the page. */
const NAMES = {
  sentence: "sentence",
  position: "position",
  token: "word",
  layer: "layer",
  head: "head",
  threshold: "threshold",
};

/**
 * @typedef {object} Model What anywidget gives.
 * @property {(name: string) => any} get
 * @property {(name: string, value: unknown) => void} set
 * @property {() => void} save_changes
 * @property {(name: string, then: () => void) => void} on
 * @property {(name: string, then: () => void) => void} off
 */

/** @param {{ model: Model, el: HTMLElement }} given */
function render({ model, el }) {
  const frame = document.createElement("iframe");
  // The sandbox keeps the page's script from the notebook's own.
  frame.setAttribute("sandbox", "allow-scripts allow-downloads");
  frame.style.cssText = `width: 100%; height: ${model.get("height")}px; border: 0`;
  frame.srcdoc = model.get("page");
  /** @type {Record<string, unknown> | null} What the page said last; nothing before it is there. */
  let last = null;

  /** @param {MessageEvent} event */
  const heard = (event) => {
    const chosen = event.source === frame.contentWindow ? event.data?.jaxflow : undefined;
    if (!chosen) return;
    const begins = last === null;
    const asked = begins ? askedAtFirst() : {};
    last = {};
    for (const [name, field] of Object.entries(NAMES)) {
      last[name] = chosen[field];
      if (!(field in asked)) model.set(name, chosen[field]);
    }
    model.save_changes();
    if (Object.keys(asked).length) frame.contentWindow?.postMessage({ jaxflow: asked }, "*");
  };

  // Values that were set before the page was there.
  const askedAtFirst = () =>
    Object.fromEntries(
      Object.entries(NAMES)
        .filter(([name]) => model.get(name) !== null)
        .map(([name, field]) => [field, model.get(name)]),
    );

  const changed = () => {
    if (last === null) return;
    const known = last;
    const differing = Object.entries(NAMES).filter(([name]) => model.get(name) !== known[name]);
    if (!differing.length) return;
    const asked = Object.fromEntries(differing.map(([name, field]) => [field, model.get(name)]));
    frame.contentWindow?.postMessage({ jaxflow: asked }, "*");
  };

  window.addEventListener("message", heard);
  for (const name of Object.keys(NAMES)) model.on(`change:${name}`, changed);
  el.append(frame);
  return () => {
    window.removeEventListener("message", heard);
    for (const name of Object.keys(NAMES)) model.off(`change:${name}`, changed);
  };
}

export default { render };
