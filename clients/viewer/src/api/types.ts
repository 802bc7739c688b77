/** What the service's JSON says; see docs/api.md. */

/** Indices or coordinates along three axes. */
export type Triple = [number, number, number];
export type Colour = Triple;
export type CandidateName = "fused" | "general" | "expert" | "rival";

export interface Doubt {
  code: string;
  detail: string;
}

export interface Volume {
  id: string;
  created: string;
  shape: Triple;
  spacing: Triple;
  orientation: string;
  /** Voxel index (i, j, k, 1) to RAS+ mm. */
  affine: number[][];
  modality: "CT" | "MR" | "unknown";
  source: { study: string; series: string } | null;
  warnings: Doubt[];
}

export interface Point {
  position: Triple;
  label: 0 | 1;
}

/** First and last corner, both inside. */
export type Box = [Triple, Triple];

export interface Route {
  used: string;
  fused: boolean;
  scores: Record<string, number>;
  top: string | null;
  s_top: number | null;
  rival: string | null;
  tau: number | null;
  check: "accepted" | "rejected" | "failed" | null;
  agreement: number | null;
}

export interface Segmentation {
  id: string;
  volume: string;
  parent: string | null;
  /** Which of the parent's masks was refined. */
  refined: CandidateName | null;
  created: string;
  points: Point[];
  box: Box | null;
  expert: string;
  route: Route;
  candidates: CandidateName[];
  windows: unknown[];
  encodes: number;
  timings_ms: Record<string, number>;
  voxel_count: number;
  volume_ml: number;
  warnings: Doubt[];
}

export interface Diameters {
  longest_mm: number;
  perpendicular_mm: number;
}

export interface Measured extends Segmentation {
  diameters: Diameters | null;
}

export interface Code {
  scheme: string;
  value: string;
  meaning: string;
}

export type Merge = "overlap" | "keep_existing" | "overwrite";

/** One structure, as it is sent. */
export interface Entry {
  segmentation: string;
  label: string;
  code?: Code;
  category?: Code;
  colour?: Colour;
  /** Which of the segmentation's masks; the answer, if it does not say. */
  candidate?: CandidateName;
}

export interface Result {
  id: string;
  volume: string;
  created: string;
  changed: string;
  revision: number;
  merge: Merge;
  entries: (Required<Entry> & { number: number })[];
}

export interface Expert {
  name: string;
  label: string;
  codes: Code[];
  modalities: ("CT" | "MR")[];
}

export interface Capabilities {
  version: string;
  notice: string;
  bundle: { name: string; digest: string };
  routing: { gate: string } | null;
  experts: Expert[];
  /** The PACS that the service knows; `/dicom-web` is the first of them. */
  dicomweb: string[];
  limits: { upload_bytes: number; points: number };
}

/** A series of one of the PACS that the service knows. */
export interface PacsSeries {
  server: string;
  study: string;
  series: string;
}

/** A series as a PACS lists it to programs: without a name. */
export interface FoundSeries {
  study: string;
  series: string;
  modality: string;
  study_date: string | null;
  instances: number | null;
}

/** Which series are looked for. */
export interface SeriesQuery {
  server: string;
  modality?: string;
  /** First day, as 2026-01-31. */
  since?: string;
  /** Studies to look through. */
  limit: number;
}

export interface Page<T> {
  items: T[];
  next: string | null;
}

/** What a click says. */
export interface Ask {
  points: Point[];
  box: Box | null;
  parent: string | null;
  candidate: CandidateName;
  expert: string;
}
