// What a page is of, in its own texts: they are written for texts, and speak of patches and images where those are shown.

/** @type {Record<string, string>} */
const OF_IMAGES = {
  word: "patch",
  words: "patches",
  sentence: "image",
  sentences: "images",
  text: "image",
  texts: "images",
};

/**
 * Puts a text of the page's own into the page's units. What the data say never goes through here.
 *
 * @param {boolean} images
 * @returns {(text: string) => string}
 */
export const unitsOf = (images) => (images ? forImages : (text) => text);

/** @param {string} text */
const forImages = (text) =>
  text.replace(/\b(an? )?(words?|sentences?|texts?)\b/gi, (_, article, name) => {
    const said = OF_IMAGES[name.toLowerCase()];
    const written = /^[A-Z]/.test(name) ? said[0].toUpperCase() + said.slice(1) : said;
    return `${article ? `${article[0]}${said.startsWith("i") ? "n" : ""} ` : ""}${written}`;
  });

const SAID = ["title", "placeholder", "aria-label"];

/**
 * Puts the page's markup into its units, before data stand in it: texts and titles, and only what is of its kinds.
 *
 * `data-only` names the kind of page that an element is for; `data-images` is what an input asks for in one of images.
 *
 * @param {string[]} kinds
 * @param {(text: string) => string} inUnits
 */
export function speakOf(kinds, inUnits) {
  const roots = [...document.body.children].filter((root) => !root.matches("script, noscript"));
  for (const root of roots) {
    for (const element of /** @type {Iterable<HTMLElement>} */ ([root, ...root.querySelectorAll("*")])) {
      const { only, images } = element.dataset;
      if (only) element.hidden = !kinds.includes(only);
      for (const name of SAID) {
        const text = element.getAttribute(name);
        if (text !== null) element.setAttribute(name, inUnits(text));
      }
      if (images && kinds.includes("images")) element.setAttribute("placeholder", images);
    }
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const node = /** @type {Text} */ (texts.currentNode);
      node.data = inUnits(node.data);
    }
  }
}
