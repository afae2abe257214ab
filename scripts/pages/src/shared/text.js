// Texts of the data as they can be shown.

// Characters that have no shape of their own, or turn the direction of writing around, are shown by their names.
export const HIDDEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/u;

/** @param {string} character */
export const named = (character) => `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;

/**
 * Text with characters that have no shape by their names, for where no element can mark them.
 *
 * @param {string} text
 */
export const shown = (text) =>
  Array.from(text.replace(/[\t\r\n]+/g, " "), (character) =>
    HIDDEN.test(character) ? `⟨${named(character)}⟩` : character,
  ).join("");

/**
 * How many characters all texts begin with, whole words; 0 where they are few, or are all of a text.
 *
 * @param {string[]} texts
 * @param {number} [least]
 */
export function sharedBeginning(texts, least = 20) {
  const [first, ...rest] = texts;
  if (!rest.length) return 0;
  let count = Math.min(...texts.map((text) => text.length - 1));
  for (const text of rest) while (count > 0 && !text.startsWith(first.slice(0, count))) count -= 1;
  // Back to where a word begins.
  while (count > 0 && !/\s/u.test(first[count - 1])) count -= 1;
  return count >= least ? count : 0;
}

/**
 * @param {string} text
 * @param {number} [most]
 */
export const short = (text, most = 14) =>
  Array.from(text).length > most
    ? `${Array.from(text)
        .slice(0, most - 1)
        .join("")}…`
    : text;
