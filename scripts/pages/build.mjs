// Bundles the pages' scripts: one file a page, and one of what they use of D3, into the folder that the package ships.
//
// usage: node build.mjs [FOLDER]     (by default jaxflow/pages/assets)

import { readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const ASSETS = resolve(HERE, "../../jaxflow/pages/assets");
const PAGES = ["report", "explorer", "summary"];
const D3 = resolve(HERE, "src/shared/d3.js");

// D3 is a script of its own, in front of the page's, and stands there under this name.
const d3Apart = {
  name: "d3-apart",
  /** @param {import("esbuild").PluginBuild} build */
  setup(build) {
    build.onResolve({ filter: /\/d3\.js$/ }, () => ({ path: "d3", namespace: "global" }));
    build.onLoad({ filter: /./, namespace: "global" }, () => ({ contents: "module.exports = globalThis.d3;" }));
  },
};

/** @type {import("esbuild").BuildOptions} */
const COMMON = { bundle: true, write: false, format: "iife", target: "es2023", charset: "utf8", legalComments: "none" };

/** @param {import("esbuild").BuildOptions} options */
async function bundled(options) {
  const { outputFiles } = await build({ absWorkingDir: HERE, ...COMMON, ...options });
  const text = outputFiles?.[0].text ?? "";
  // Such an end would end the element that holds the script.
  if (/<\/script|<!--/i.test(text)) throw new Error("a script must not hold the end of its element");
  return text;
}

const folder = resolve(process.argv[2] ?? ASSETS);
const version = JSON.parse(await readFile(join(HERE, "node_modules/d3/package.json"), "utf8")).version;
const banner = `// What jaxflow's pages use of D3 ${version}, https://d3js.org; its licence is in d3-licence.txt.`;
const d3 = await bundled({ entryPoints: [D3], globalName: "d3", minify: true, banner: { js: banner } });
await writeFile(join(folder, "d3.js"), d3);
await writeFile(join(folder, "d3-licence.txt"), await readFile(join(HERE, "node_modules/d3/LICENSE"), "utf8"));
for (const page of PAGES) {
  const banner = `// Made by scripts/pages/build.mjs from scripts/pages/src/${page}: change those.`;
  const script = await bundled({ entryPoints: [`src/${page}/main.js`], plugins: [d3Apart], banner: { js: banner } });
  await writeFile(join(folder, `${page}.js`), script);
}
// A module that notebooks import.
const widget = await bundled({
  entryPoints: ["src/widget/main.js"],
  format: "esm",
  banner: { js: "// Made by scripts/pages/build.mjs from scripts/pages/src/widget: change those." },
});
await writeFile(join(folder, "widget.js"), widget);
