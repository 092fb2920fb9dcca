/**
 * The attested content, block by block: from the manifest to the files, and from a file's address down the tree of its
 * blocks. Each manifest, node and block is hashed before anything of it is believed.
 *
 * Sources: https://ipld.io/specs/codecs/dag-pb/spec/ and https://specs.ipfs.tech/unixfs/.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes } from "@noble/hashes/utils.js";
import { CHUNK_SIZE, FANOUT, LEAF_SIZE } from "../generated/constants";
import { type BlockName, type Fetched, fetchBlock, nameOf, readCid } from "./gateways";
import { fetchManifest, fields, hash, type Json, list, schemaIs, text, whole } from "./manifests";
import { leafOf } from "./merkle";

/** Bytes of content that this page fetches as a whole; more is for the command line. */
export const MOST_CONTENT = 32 * 1024 * 1024;

/**
 * Why something of the content is not there: no gateway has it or answers (`absent`); one sent other bytes, and none
 * the right ones (`wrong`). Or what was found, whoever sent it, has the right hash, yet contradicts itself (`malformed`)
 * or is other content than was attested (`content`).
 */
export class Missed extends Error {
  override name = "Missed";
  constructor(
    readonly why: "absent" | "wrong" | "malformed" | "content",
    readonly liars: readonly string[] = [],
  ) {
    super(why);
  }
}

/** What the chain says of the content: hash of the manifest, content root (both 64 digits), and bytes. */
export type Attested = { evidence: string; root: string; size: bigint };

type File = { size: number; sha256: string; name: BlockName };
type Part = File | { size: number; listing: string };

const MOST_FILES = 200_000;
/** Listings between a manifest and a file. */
const DEEPEST = 2;
/** Blocks that are on their way at the same time. */
const AT_ONCE = 4;

export class Content {
  readonly #parts: readonly Part[];
  readonly #gateways: readonly string[];
  readonly #listings = new Map<string, Promise<Part[]>>();
  readonly #nodes = new Map<string, Promise<BlockName[]>>();

  private constructor(
    readonly size: number,
    parts: readonly Part[],
    gateways: readonly string[],
  ) {
    this.#parts = parts;
    this.#gateways = gateways;
  }

  /** Fetches the manifest. Throws `Missed`, also if it names other content than was attested. */
  static async open(attested: Attested, gateways: readonly string[]): Promise<Content> {
    const { root, size, parts } = await read(attested.evidence, gateways, (document) => {
      const stated = fields(document.content);
      return { root: hash(stated.root), size: whole(stated.size), parts: partsOf(document) };
    });
    if (root !== attested.root || BigInt(size) !== attested.size) throw new Missed("content");
    if (sum(parts) !== size) throw new Missed("malformed");
    return new Content(size, parts, gateways);
  }

  /** The verified block that has the byte at a position. Throws `Missed`. */
  async blockAt(position: number): Promise<Uint8Array> {
    const [file, place] = await this.#fileAt(this.#parts, position, 1);
    return this.#block(...(await this.#leafAt(file.name, file.size, place)));
  }

  /** The verified bytes of all files in their order, block by block; each file's own hash is compared. Throws `Missed`. */
  async *blocks(): AsyncGenerator<Uint8Array> {
    const coming: { bytes: Promise<Uint8Array>; last: File | null }[] = [];
    let hasher = sha256.create();
    const next = async (): Promise<Uint8Array> => {
      const { bytes, last } = coming.shift() as (typeof coming)[number];
      const block = await bytes;
      hasher.update(block);
      if (last !== null) {
        if (bytesToHex(hasher.digest()) !== last.sha256) throw new Missed("malformed");
        hasher = sha256.create();
      }
      return block;
    };
    for await (const file of this.#files(this.#parts, 1)) {
      let place = 0;
      for await (const [name, size] of this.#leaves(file.name, file.size)) {
        place += size;
        const bytes = this.#block(name, size);
        // Whoever waits for it later is told.
        bytes.catch(() => {});
        coming.push({ bytes, last: place === file.size ? file : null });
        if (coming.length === AT_ONCE) yield await next();
      }
    }
    while (coming.length > 0) yield await next();
  }

  async *#files(parts: readonly Part[], depth: number): AsyncGenerator<File> {
    for (const part of parts) {
      if ("listing" in part) yield* this.#files(await this.#listing(part.listing, part.size, depth), depth + 1);
      else if (part.size > 0) yield part;
    }
  }

  async #fileAt(parts: readonly Part[], position: number, depth: number): Promise<[File, number]> {
    let place = position;
    for (const part of parts) {
      if (place >= part.size) place -= part.size;
      else if ("listing" in part)
        return this.#fileAt(await this.#listing(part.listing, part.size, depth), place, depth + 1);
      else return [part, place];
    }
    throw new RangeError(`there is no byte ${position}`);
  }

  async *#leaves(name: BlockName, size: number): AsyncGenerator<[BlockName, number]> {
    if (size <= LEAF_SIZE) {
      yield [name, size];
      return;
    }
    const full = fullBelow(size);
    for (const [place, child] of (await this.#node(name, size)).entries()) {
      yield* this.#leaves(child, Math.min(full, size - place * full));
    }
  }

  async #leafAt(name: BlockName, size: number, position: number): Promise<[BlockName, number]> {
    if (size <= LEAF_SIZE) return [name, size];
    const full = fullBelow(size);
    const place = Math.floor(position / full);
    const child = (await this.#node(name, size))[place] as BlockName;
    return this.#leafAt(child, Math.min(full, size - place * full), position - place * full);
  }

  async #block(name: BlockName, size: number): Promise<Uint8Array> {
    if (name.node) throw new Missed("malformed");
    const bytes = found(await fetchBlock(name, this.#gateways, LEAF_SIZE));
    if (bytes.length !== size) throw new Missed("malformed");
    return bytes;
  }

  #node(name: BlockName, size: number): Promise<BlockName[]> {
    return kept(this.#nodes, `${name.sha256} ${size}`, async () => {
      if (!name.node) throw new Missed("malformed");
      const bytes = found(await fetchBlock(name, this.#gateways, LEAF_SIZE));
      return orMalformed(() => childrenOf(bytes, size));
    });
  }

  #listing(sha256: string, size: number, depth: number): Promise<Part[]> {
    if (depth > DEEPEST) throw new Missed("malformed");
    return kept(this.#listings, `${sha256} ${size}`, async () => {
      const parts = await read(sha256, this.#gateways, (document) => {
        schemaIs(document, "llamafund/listing/1");
        return partsOf(document);
      });
      if (sum(parts) !== size) throw new Missed("malformed");
      return parts;
    });
  }
}

/**
 * The leaf hashes of all chunks of a content, from its blocks; and the bytes of one chunk, if one is wanted.
 * `step` is told the bytes so far; what it throws ends the work.
 */
export async function hashChunks(
  content: Content,
  step: (done: number) => void,
  wanted = -1,
): Promise<{ leaves: Uint8Array[]; chunk: Uint8Array | null }> {
  const leaves: Uint8Array[] = [];
  let chunk: Uint8Array | null = null;
  let rest = new Uint8Array();
  let done = 0;
  const take = (data: Uint8Array) => {
    if (leaves.length === wanted) chunk = data.slice();
    leaves.push(leafOf(data));
  };
  for await (const block of content.blocks()) {
    rest = concatBytes(rest, block);
    let start = 0;
    for (; rest.length - start >= CHUNK_SIZE; start += CHUNK_SIZE) take(rest.subarray(start, start + CHUNK_SIZE));
    rest = rest.slice(start);
    done += block.length;
    step(done);
  }
  if (rest.length > 0) take(rest);
  return { leaves, chunk };
}

/** The children of a node of a file's balanced tree, of which `size` bytes are below it. Throws an Error for others. */
export function childrenOf(block: Uint8Array, size: number): BlockName[] {
  const full = fullBelow(size);
  const count = Math.ceil(size / full);
  let place = 0;
  const expect = (...wanted: number[]) => {
    for (const byte of wanted) if (block[place++] !== byte) throw new Error("a node has another form");
  };
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
      const byte = block[place++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new Error("a node has another form");
  };
  const names: BlockName[] = [];
  for (let child = 0; child < count; child += 1) {
    expect(0x12);
    const end = varint() + place;
    expect(0x0a, 36);
    names.push(nameOf(block.slice(place, place + 36)));
    place += 36;
    expect(0x12, 0x00, 0x18);
    varint();
    if (place !== end) throw new Error("a node has another form");
  }
  expect(0x0a);
  const end = varint() + place;
  expect(0x08, 0x02, 0x18);
  if (varint() !== size) throw new Error("a node is of another file");
  for (let child = 0; child < count; child += 1) {
    expect(0x20);
    if (varint() !== Math.min(full, size - child * full)) throw new Error("a node is of another file");
  }
  if (place !== end || end !== block.length) throw new Error("a node has another form");
  return names;
}

/** Bytes below each child of a node of which `size` bytes are below it; the last child may have fewer. */
function fullBelow(size: number): number {
  let full: number = LEAF_SIZE;
  while (full * FANOUT < size) full *= FANOUT;
  return full;
}

async function read<T>(sha256: string, gateways: readonly string[], shape: Parameters<typeof fetchManifest<T>>[2]) {
  const manifest = await fetchManifest(sha256, gateways, shape);
  if (manifest.outcome === "read") return manifest.value;
  throw manifest.outcome === "malformed"
    ? new Missed("malformed")
    : new Missed(manifest.outcome, manifest.fetched.liars);
}

function partsOf(document: { [name: string]: Json }): Part[] {
  const files = document.files === undefined ? [] : list(document.files, fileFrom, MOST_FILES);
  const listings = document.listings === undefined ? [] : list(document.listings, listingFrom, MOST_FILES);
  return [...files, ...listings];
}

function fileFrom(value: Json): File {
  const one = fields(value);
  const file = { size: whole(one.size), sha256: hash(one.sha256), name: readCid(text(one.cid, 100)) };
  // One block's address has the hash of the file itself.
  const same = !file.name.node && file.name.sha256 === file.sha256;
  if (file.size < 0 || file.size <= LEAF_SIZE !== !file.name.node || (file.size <= LEAF_SIZE && !same)) {
    throw new Error("a file's address is another's");
  }
  return file;
}

function listingFrom(value: Json): Part {
  const { sha256, size } = fields(value);
  if (whole(size) < 0) throw new Error("a size is missing");
  return { listing: hash(sha256), size: whole(size) };
}

function sum(parts: readonly Part[]): number {
  return parts.reduce((total, part) => total + part.size, 0);
}

function found(fetched: Fetched): Uint8Array {
  if (fetched.outcome === "found") return fetched.bytes;
  throw new Missed(fetched.outcome, fetched.liars);
}

function orMalformed<T>(compute: () => T): T {
  try {
    return compute();
  } catch {
    throw new Missed("malformed");
  }
}

/** What was made before under a name, or is being made; what failed is tried again the next time. */
function kept<T>(made: Map<string, Promise<T>>, name: string, make: () => Promise<T>): Promise<T> {
  const before = made.get(name);
  if (before !== undefined) return before;
  const now = make();
  made.set(name, now);
  now.catch(() => made.delete(name));
  return now;
}
