// Light or dark, as the reader or the system says.

export const darkQuery = window.matchMedia("(prefers-color-scheme: dark)");

export function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : darkQuery.matches;
}
