// Making elements. Text of the data reaches the page here only, as text.

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("aria") || name === "role" || name === "scope") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

const byId = (id) => document.getElementById(id);

// Characters that have no shape of their own, or turn the direction of writing around, are shown by their names.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/u;

const named = (character) => `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

// The text as nodes; line breaks and tabs within a sentence count as spaces.
function textNodes(text) {
  const nodes = [];
  let plain = "";
  for (const character of text.replace(/[\t\r\n]+/g, " ")) {
    if (!HIDDEN.test(character)) {
      plain += character;
      continue;
    }
    if (plain) nodes.push(document.createTextNode(plain));
    plain = "";
    nodes.push(make("span", { className: "hidden-character", title: "a character without a shape" }, named(character)));
  }
  if (plain) nodes.push(document.createTextNode(plain));
  return nodes;
}

// One text that its neighbours' direction of writing does not touch.
const isolated = (text, className = "") => make("bdi", { className }, ...textNodes(text));

function paint(element, share, dark = isDark()) {
  const { background, color } = shade(share, dark);
  element.style.backgroundColor = background;
  element.style.color = color;
}

// Arrow keys among elements of which one at a time can be reached by Tab.
function focusOn(elements, target) {
  for (const element of elements) element.tabIndex = -1;
  target.tabIndex = 0;
  target.focus();
}

// From the theme that is seen to the other one, and its name on the button.
function turnTheme() {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme}`;
}
