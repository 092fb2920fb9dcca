/** Manifests from strangers: only the canonical bytes (RFC 8785) that a hash stands for, of the shape we know. */

import { MAX_MANIFEST_BYTES } from "../generated/constants";
import { type Fetched, fetchHash } from "./gateways";

export type Party = { name: string; address: string; promise: string };
export type MilestonePromise = { kind: string; title: string; description: string };

/** `llamafund/proposal/1`. Metrics are in millionths. */
export type Proposal = {
  title: string;
  summary: string;
  objectives: string[];
  outcome: { metric: string; direction: "lower" | "higher"; target: number; evaluation: string };
  dataset: { manifest: string | null; description: string; sources: string[]; license: string };
  model: string;
  recipe: string | null;
  compute: string;
  budget: string;
  milestones: MilestonePromise[];
  license: string;
  researcher: Party;
  attestors: Party[];
  /** The terms that it promises in machine form; null in older ones. */
  terms: Json | null;
};

export type Update = { campaign: string; title: string; text: string; links: { title: string; sha256: string }[] };

/** A manifest of evidence: what this page shows of it. Null where its kind has no such field. */
export type Evidence = {
  schema: string;
  content: { root: string; size: number };
  files: number;
  license: string | null;
  steps: { first: number; last: number } | null;
  metrics: [string, number][];
};

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type Fields = { [name: string]: Json };

/** `read`, or why not: not found, other bytes everywhere, or bytes that are no such manifest. */
export type Manifest<T> =
  | { outcome: "read"; value: T; from: string; document: Fields }
  | { outcome: "absent" | "wrong"; fetched: Fetched }
  | { outcome: "malformed"; why: string };

const MAX_DEPTH = 32;
/** Half of a pair, which no UTF-8 can carry. */
const HALF = /\p{Cs}/u;
const MAX_LIST = 200_000;
const HASH = /^[0-9a-f]{64}$/;
const ADDRESS = /^0x[0-9a-fA-F]{40}$/;

export async function fetchManifest<T>(
  sha256: string,
  gateways: readonly string[],
  shape: (document: Fields) => T,
): Promise<Manifest<T>> {
  const fetched = await fetchHash(sha256, gateways, MAX_MANIFEST_BYTES);
  if (fetched.outcome !== "found") return { outcome: fetched.outcome, fetched };
  try {
    const document = parseManifest(fetched.bytes);
    return { outcome: "read", value: shape(document), from: fetched.from, document };
  } catch (thrown) {
    return { outcome: "malformed", why: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

/** The object that canonical bytes stand for. Throws an Error that says what is wrong with them. */
export function parseManifest(bytes: Uint8Array): Fields {
  if (bytes.length > MAX_MANIFEST_BYTES) throw new Error(`more than ${MAX_MANIFEST_BYTES} bytes`);
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  const value = JSON.parse(text) as Json;
  // One content has one hash: another order, spacing, a key given twice or a fraction would write it differently.
  if (canonical(value) !== text) throw new Error("not canonical JSON (RFC 8785)");
  return fields(value);
}

/** RFC 8785: names in the order of their UTF-16 code units, numbers and texts as ECMAScript writes them. */
export function canonical(value: Json, depth = 0): string {
  if (depth > MAX_DEPTH) throw new Error(`nested deeper than ${MAX_DEPTH}`);
  if (Array.isArray(value)) return `[${value.map((one) => canonical(one, depth + 1)).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const names = Object.keys(value).sort((a, b) => (a < b ? -1 : 1));
    if (names.some((name) => HALF.test(name))) throw new Error("half of a surrogate pair");
    return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name] as Json, depth + 1)}`).join(",")}}`;
  }
  if (typeof value === "string" && HALF.test(value)) throw new Error("half of a surrogate pair");
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw new Error(`${value} is not a whole number`);
  return JSON.stringify(value);
}

export function proposalFrom(document: Fields): Proposal {
  schemaIs(document, "llamafund/proposal/1");
  const outcome = fields(document.outcome);
  const dataset = fields(document.dataset);
  const direction = text(outcome.direction);
  if (direction !== "lower" && direction !== "higher") throw new Error("outcome.direction");
  return {
    title: text(document.title, 300),
    summary: text(document.summary),
    objectives: list(document.objectives, (one) => text(one)),
    outcome: {
      metric: text(outcome.metric, 300),
      direction,
      target: whole(outcome.target),
      evaluation: text(outcome.evaluation),
    },
    dataset: {
      manifest: dataset.manifest === null ? null : hash(dataset.manifest),
      description: text(dataset.description),
      sources: list(dataset.sources, (one) => text(one)),
      license: text(dataset.license, 300),
    },
    model: text(document.model),
    recipe: document.recipe === null ? null : hash(document.recipe),
    compute: text(document.compute),
    budget: text(document.budget),
    milestones: list(document.milestones, (one) => {
      const { kind, title, description } = fields(one);
      return { kind: text(kind, 20), title: text(title, 300), description: text(description) };
    }),
    license: text(document.license, 300),
    researcher: party(document.researcher ?? null),
    attestors: list(document.attestors, (one) => party(one)),
    terms: document.terms ?? null,
  };
}

export function updateFrom(document: Fields): Update {
  schemaIs(document, "llamafund/update/1");
  return {
    campaign: text(document.campaign, 100),
    title: text(document.title, 300),
    text: text(document.text),
    links: list(document.links ?? [], (one) => {
      const { title, sha256 } = fields(one);
      return { title: text(title, 300), sha256: hash(sha256) };
    }),
  };
}

export function evidenceFrom(document: Fields): Evidence {
  const schema = text(document.schema, 60);
  if (!/^llamafund\/(dataset|checkpoint|weights)\/1$/.test(schema)) throw new Error(`schema ${schema}`);
  const content = fields(document.content);
  const files = document.files === undefined ? 0 : list(document.files, fields, MAX_LIST).length;
  const listings = document.listings === undefined ? [] : list(document.listings, fields, MAX_LIST);
  const steps = document.steps === undefined ? null : fields(document.steps);
  const metrics = document.metrics === undefined ? {} : fields(document.metrics);
  return {
    schema,
    content: { root: hash(content.root), size: whole(content.size) },
    files: files + listings.reduce((sum, one) => sum + whole(one.files), 0),
    license: document.license === undefined ? null : text(document.license, 300),
    steps: steps === null ? null : { first: whole(steps.first), last: whole(steps.last) },
    metrics: Object.entries(metrics)
      .slice(0, 50)
      .map(([name, value]) => [name, whole(value)]),
  };
}

export function schemaIs(document: Fields, schema: string): void {
  if (document.schema !== schema) throw new Error(`the schema is not ${schema}`);
}

export function fields(value: Json | undefined): Fields {
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Error("an object is missing");
  return value;
}

export function text(value: Json | undefined, limit = 20_000): string {
  if (typeof value !== "string" || value.length > limit * 2) throw new Error("a text is missing or too long");
  return value;
}

export function hash(value: Json | undefined): string {
  if (typeof value !== "string" || !HASH.test(value)) throw new Error("a hash is missing");
  return value;
}

export function whole(value: Json | undefined): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw new Error("a whole number is missing");
  return value;
}

export function list<T>(value: Json | undefined, each: (one: Json) => T, limit = 1_000): T[] {
  if (!Array.isArray(value) || value.length > limit) throw new Error("a list is missing or too long");
  return value.map(each);
}

function party(value: Json): Party {
  const { name, address, promise } = fields(value);
  if (typeof address !== "string" || !ADDRESS.test(address)) throw new Error("an address is missing");
  return { name: text(name, 300), address, promise: promise === undefined ? "" : text(promise) };
}
