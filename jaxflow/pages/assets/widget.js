// Made by scripts/pages/build.mjs from scripts/pages/src/widget: change those.

// src/widget/main.js
var NAMES = {
  sentence: "sentence",
  position: "position",
  token: "word",
  layer: "layer",
  head: "head",
  threshold: "threshold"
};
function render({ model, el }) {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts allow-downloads");
  frame.style.cssText = `width: 100%; height: ${model.get("height")}px; border: 0`;
  frame.srcdoc = model.get("page");
  let last = null;
  const heard = (event) => {
    const chosen = event.source === frame.contentWindow ? event.data?.jaxflow : void 0;
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
  const askedAtFirst = () => Object.fromEntries(
    Object.entries(NAMES).filter(([name]) => model.get(name) !== null).map(([name, field]) => [field, model.get(name)])
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
var main_default = { render };
export {
  main_default as default
};
