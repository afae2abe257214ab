// What the report's modules hand to one another.

interface ReportExample {
  /** A row's number, or an image's name. */
  id: number | string;
  text: string;
  pair: string | null;
  tokens: string[];
  source: number[];
  layers: number[];
  queries: number[];
  queries_total: number;
  prediction: string | null;
  probabilities: Record<string, number> | null;
  pieces: [string, string][];
  joined: number[];
  /** By method, base64 of `layer query token` as float32. */
  values: Record<string, string>;
  certified?: string | null;
  certified_share?: number;
  /** By flow method, base64 of `layer query token`; null where no flow is saturated. */
  saturated: Record<string, string | null>;
  /** Sources and targets, or a prompt and its answer: where the second begins, and the token that each query explains. */
  parts: { start: number; names: [string, string]; explained: (number | null)[]; sink?: number | null } | null;
  /** Of an image: what the model saw, as a data URI, and its patches; null for texts. */
  picture?: { uri: string; rows: number; columns: number } | null;
  /** The words that carry the prediction, or the class that was asked for. */
  carried: Carried | null;
}

interface Carried {
  method: string;
  target: string | null;
  words: { text: string; share: number; saturated: boolean }[];
  tied: number;
}

interface ReportData {
  model: string;
  input: string;
  total: number;
  versions: { jaxflow: string };
  /** Whether Parquet files beside the page hold the same numbers. */
  stored: boolean;
  /** `mixing` is its name with its fields, in words. */
  settings: { mixing: string; flow?: string };
  methods: string[];
  /** What a class's name means, where it is known. */
  meanings: Record<string, string>;
  /** Those of them whose values are flows. */
  flows: string[];
  /** How many layers are an encoder's below a decoder; 0 for models of one sequence. */
  encoder_layers: number;
  examples: ReportExample[];
}

/** An example with its numbers unpacked; all by index. */
interface Unpacked {
  example: ReportExample;
  row: (method: string, layer: number, query: number) => Float32Array;
  certified: (layer: number, query: number, token: number) => boolean;
  hasSign: (method: string) => boolean;
  saturated: (method: string, layer: number, query: number, token: number) => boolean;
  ranks: Map<string, { rank: number; ties: number }[]>;
}

/** Methods of the heat map beside one another, and the width of its cells. */
interface Layout {
  each: number;
  cell: number;
}

/** Puts an element into a picture. */
type Add = (tag: string, attributes: Record<string, string | number>, text?: string) => void;
/** Draws the middle of a picture, and gives its width and height. */
type Draw = (
  current: Unpacked,
  state: ReportState,
  add: Add,
  write: (x: number, y: number, text: string, rest?: Record<string, string | number>) => void,
) => [number, number];

interface ReportState {
  index: number;
  layer: number;
  query: number;
  scale: string;
  special: boolean;
  methods: Set<string>;
}
