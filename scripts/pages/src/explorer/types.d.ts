// What the explorer's modules hand to one another.

/** A row of floats: what each token is worth. */
type Row = Float32Array;

/** A matrix of one layer, [position * size + token]. */
type Matrix = Float32Array | Float64Array;

interface ModelMeta {
  name: string;
  layers: number;
  heads: number;
  /** By measure, base64 of `layer head` as float32. */
  measures: Record<string, string>;
}

/** What the page says of one model's reading of a sentence; of the second model what differs from the first. */
interface SideMeta {
  prediction: string | null;
  probabilities: Record<string, number> | null;
  loss: number | null;
  /** The words that carry the prediction, or the class that was asked for. */
  carried: Carried | null;
  /** Of an image, what the model saw, and its patches. */
  picture: { uri: string; rows: number; columns: number } | null;
  /** By method, what its numbers are multiplied by, where that is not 1. */
  scales: Record<string, number>;
  /** By flow method, layer and query, how many tokens it tells apart, where there is one that does not tell all. */
  apart: Record<string, number[][]>;
  tokens: string[];
  source: number[];
  /** For each token what stands before it, and what it covers. */
  pieces: [string, string][];
  /** 1 for tokens that carry on the word of the token before. */
  joined: number[];
}

/** How a text's numbers are kept: bits of half precision's fraction, steps of the root of a head's weight. */
interface Kept {
  bits: number;
  steps: number;
  /** Methods that are the mean of the heads, and are taken from them. */
  fused: string[];
}

interface SentenceMeta {
  id: number;
  text: string;
  pair: string | null;
  label: string | null;
  queries: Record<string, number[]>;
  kept: Kept;
  flows_certified: number | null;
  change: number[] | null;
  mean_change: number;
  moved: number;
  sides: SideMeta[];
}

type Side = import("./side.js").Side;

/** A sentence whose numbers are unpacked. */
type Sentence = Omit<SentenceMeta, "sides"> & { index: number; sides: Side[] };

interface PageData {
  models: ModelMeta[];
  methods: string[];
  /** The method that answers what a prediction rests on. */
  lead: string | null;
  last: boolean;
  /** What was asked to be chosen at first. */
  first: { layer?: number; from?: number; to?: number; head?: number; heads?: string };
  measures: string[];
  /** By model, layer and head. */
  roles: (string | null)[][][] | null;
  /** `mixing` is its name with its fields, in words. */
  settings: { residual: number; mixing: string; layers?: string };
  versions: { jaxflow: string };
  total: number;
  sentences: SentenceMeta[];
}

interface State {
  sentence: number;
  position: number;
  word: number | null;
  layer: number;
  from: number;
  to: number;
  head: number;
  heads: string;
  models: string;
  strength: string;
  trace: string;
  threshold: number | null;
  method: string;
  /** "1" where special tokens stand in the pictures. */
  special: string;
  map: string;
  measure: string;
  order: string;
  asked: string;
  view: string;
  sort: string;
  search: string;
  cell: string;
  theme: string;
}

/** Name in the address, first value, and how it is read from the address (undefined: not understood, left out). */
type Field = [string, string | number | null, (text: string) => string | number | undefined];

/** Arcs of a model: a matrix a layer, what passes through the nodes of each step, and a flow's value. */
interface Graph {
  from: number;
  arcs: Matrix[];
  nodes: Matrix[];
  value?: number;
}

type ArcKind = "shared" | "a" | "b" | "only";

interface Arc {
  layer: number;
  from: number;
  to: number;
  a: number;
  b: number;
  value: number;
  kind: ArcKind;
}

/** What a picture of arcs is drawn from. */
interface Picture {
  sentence: Sentence;
  strength: string;
  trace: string;
  size: number;
  threshold: number;
  words: string[];
  /** Of the models that are shown. */
  numbers: number[];
  sides: Side[];
  diff: boolean;
  graphs: Graph[];
  names: string[];
  from: number;
  to: number;
  layer: number;
  arcs: Arc[];
  over: number;
  /** Of these, from a position to itself. */
  own: number;
  counts: Record<ArcKind, number>;
  strongest: number;
}

/** What all views are drawn from. */
type Context = Picture & { conserved: Graph[]; pictures: Picture[] };

/** What a mark is of, for a click to choose. */
interface Is {
  layer?: number;
  head?: number;
  word?: number;
  position?: number;
  cell?: string;
}

/** A heading, then names with values. */
type Tip = [string, ...TipLine[]];

type TipLine = [string, string | number];

type Tracer = (pen: CanvasPath) => void;

interface Look {
  fill?: string;
  stroke?: string;
  /** Width of the stroke. */
  line?: number;
  opacity?: number;
  dash?: string | null;
  cap?: CanvasLineCap;
  /** Not there for the pointer. */
  quiet?: boolean;
  /** Stands out under the pointer. */
  glows?: boolean;
  /** Right and down of where it says. */
  shift?: [number, number];
  is?: Is | null;
  tip?: () => Tip;
}

interface PathMark extends Look {
  kind: "path";
  trace: Tracer;
  arc?: ArcKind;
  bounds?: [number, number, number, number];
}

interface CircleMark extends Look {
  kind: "circle";
  x: number;
  y: number;
  r: number;
}

interface RectMark extends Look {
  kind: "rect";
  x: number;
  y: number;
  width: number;
  height: number;
  rx?: number;
}

interface TextMark extends Look {
  kind: "text";
  x: number;
  y: number;
  text: string;
  size?: number;
  anchor?: "start" | "middle" | "end";
  baseline?: "auto" | "hanging" | "central";
  turn?: number;
  bold?: boolean;
  halo?: boolean;
}

interface RasterMark extends Look {
  kind: "raster";
  canvas: HTMLCanvasElement;
  x: number;
  y: number;
  width: number;
  height: number;
  /** What is at a place, as shares of its width and height. */
  at?: (shareX: number, shareY: number) => Pointed;
}

type Mark = PathMark | CircleMark | RectMark | TextMark | RasterMark;

/** What is under the pointer. */
type Pointed = Mark | { kind?: undefined; is?: Is | null; tip?: () => Tip; glows?: boolean };

type Cell = string | number | null | undefined;

interface Scene {
  width: number;
  height: number;
  marks: Mark[];
  note?: string;
  title?: string;
  table: () => Cell[][];
}

/** Marks of known height, before a width and a table go with them. */
type Drawing = Pick<Scene, "marks" | "height">;

/** Keys, what they do in words, and what they do. */
type Key = [string[], string, () => unknown];

/** A view of what is chosen: all that the page knows of it. */
interface View {
  name: string;
  /** Of the page's two columns. */
  column: number;
  title: string;
  help: string;
  /** `tall` is the height to fill, where it is enlarged. */
  draw: (context: Context, width: number, tall: number | null) => Scene;
  /** Fields of the state that it follows from. */
  uses: string[];
  /** Fields of the state that are its own. */
  fields?: Record<string, Field>;
  controls?: () => HTMLElement[];
  keys?: Key[];
  /** What arrow keys do in it. */
  arrows?: Record<string, () => unknown>;
  /** What it waits for beyond the state. */
  waits?: (context: Context) => boolean;
}

interface Panel {
  view: View;
  element: HTMLElement;
  stage: HTMLElement;
  canvas: HTMLCanvasElement;
  svg: SVGElement;
  note: HTMLElement;
  scene: Scene | null;
  width: number;
  /** Whether it is in sight. */
  near: boolean;
  key?: string;
  glowing?: Pointed | null;
}

/** One model's heads in the head grid. */
interface Plate {
  layers: number;
  heads: number;
  title: string;
  canvas?: HTMLCanvasElement;
  texts?: { text: string; fill: string; ink: string }[][];
  lines: (layer: number, head: number) => [string, string | number][];
}

/** A table of predictions: its name, titles of rows and columns, and both of a sentence. */
interface Confusion {
  name: string;
  rows: string;
  columns: string;
  of: (sentence: SentenceMeta | Sentence) => (string | null)[];
}
