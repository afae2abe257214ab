// What the pages use of D3 (Bostock, Ogievetsky & Heer 2011). It becomes a script of its own, `d3.js`, in front of a
// page's; see build.mjs. Plotly's and Bokeh's scripts are 4.5 MB and 1 MB, come with their own way of drawing and have
// neither token rings nor links that keep their place, so that all would have been drawn by hand on top.

export {
  ascending,
  axisBottom,
  axisLeft,
  create,
  cross,
  formatDefaultLocale,
  interpolateLab,
  line,
  linkHorizontal,
  linkRadial,
  max,
  mean,
  median,
  min,
  path,
  pointRadial,
  range,
  rgb,
  scaleBand,
  scaleLinear,
  scaleLog,
  scalePoint,
  sum,
  symbol,
  symbolCircle,
  symbolDiamond,
  symbolSquare,
  symbolTriangle,
} from "d3";
