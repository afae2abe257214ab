// What the summary's modules hand to one another.

/** A token or a part of speech: how often it occurs, and by method its mean relevance, a number a layer. */
// biome-ignore lint/suspicious/noExplicitAny: a method may be called as it likes
type Counted = { count: number; token: string; tag: string } & Record<string, any>;

interface SummaryData {
  model: string;
  input: string;
  /** Whether it is of images. */
  images: boolean;
  /** The mixing's name with its fields, in words. */
  mixing: string;
  complete: boolean;
  examples: number;
  tagged_examples: number;
  layers: number[];
  methods: string[];
  /** By method and measure, a number a layer. */
  measures: Record<string, Record<string, number[]>>;
  agreement: { methods: string[]; spearman: (number | null)[]; examples: number[] }[];
  /** How many texts reach a position, and by method `layer position`. */
  positions: { counts: number[] } & Record<string, number[][]>;
  disagreements: { methods: string[]; examples: { spearman: number; id: number; text: string }[] }[];
  tokens: Counted[];
  /** Those of them that are no part of a text. */
  special_tokens: string[];
  parts_of_speech: Counted[];
  vocabulary: number;
}

/** A line of a chart; null is what is not defined, and leaves a gap. */
interface ChartLine {
  kind: string;
  name: string;
  values: (number | null)[];
}

interface Chart {
  title: string;
  note: string;
  x: number[];
  xName: string;
  lines: ChartLine[];
  /** The top of the scale, where it is known. */
  high?: number | null;
  logarithms?: boolean;
}

interface Sorting {
  by: string;
  rising: boolean;
}
