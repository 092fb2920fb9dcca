import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes } from "@noble/hashes/utils.js";
import { afterEach, expect, test, vi } from "vitest";
import { CHUNK_SIZE, FANOUT, LEAF_SIZE } from "../generated/constants";
import { checkWhole, draw, missedBy, samplePositions } from "../verify/sampling";
import { type Attested, Content, childrenOf, hashChunks } from "./content";
import { type BlockName, cidOf } from "./gateways";
import { canonical, type Json } from "./manifests";
import { leafOf, rootOf } from "./merkle";

type Blocks = Map<string, Uint8Array>;
type File = { path: string; size: number; sha256: string; cid: string };

function keep(blocks: Blocks, bytes: Uint8Array, node = false): BlockName {
  const name = { node, sha256: bytesToHex(sha256(bytes)) };
  blocks.set(cidOf(name), bytes);
  return name;
}

const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) | 128, ...varint(Math.floor(value / 128))];
const binary = ({ node, sha256 }: BlockName) => [1, node ? 0x70 : 0x55, 0x12, 0x20, ...Buffer.from(sha256, "hex")];

function nodeOf(links: { name: BlockName; size: number }[]): Uint8Array {
  const head = links.flatMap(({ name, size }) => {
    const link = [0x0a, 36, ...binary(name), 0x12, 0, 0x18, ...varint(size)];
    return [0x12, ...varint(link.length), ...link];
  });
  const total = links.reduce((sum, link) => sum + link.size, 0);
  const data = [0x08, 0x02, 0x18, ...varint(total), ...links.flatMap((link) => [0x20, ...varint(link.size)])];
  return Uint8Array.from([...head, 0x0a, ...varint(data.length), ...data]);
}

/** Keeps a file's blocks as `ipfs add --cid-version=1` makes them. */
function add(blocks: Blocks, path: string, bytes: Uint8Array): File {
  let level = Array.from({ length: Math.max(1, Math.ceil(bytes.length / LEAF_SIZE)) }, (_, at) => {
    const leaf = bytes.slice(at * LEAF_SIZE, (at + 1) * LEAF_SIZE);
    return { name: keep(blocks, leaf), size: leaf.length };
  });
  while (level.length > 1) {
    level = Array.from({ length: Math.ceil(level.length / FANOUT) }, (_, at) => {
      const below = level.slice(at * FANOUT, (at + 1) * FANOUT);
      return { name: keep(blocks, nodeOf(below), true), size: below.reduce((sum, one) => sum + one.size, 0) };
    });
  }
  const cid = cidOf((level[0] as { name: BlockName }).name);
  return { path, size: bytes.length, sha256: bytesToHex(sha256(bytes)), cid };
}

/** Keeps a manifest of the files, and gives what is attested of it. */
function attest(blocks: Blocks, files: File[], content: Uint8Array, changes: { [name: string]: Json } = {}): Attested {
  const chunks = Array.from({ length: Math.ceil(content.length / CHUNK_SIZE) }, (_, at) =>
    leafOf(content.slice(at * CHUNK_SIZE, (at + 1) * CHUNK_SIZE)),
  );
  const root = bytesToHex(rootOf(chunks));
  const document = { schema: "llamafund/dataset/1", content: { root, size: content.length }, files, ...changes };
  const evidence = keep(blocks, new TextEncoder().encode(canonical(document))).sha256;
  return { evidence, root, size: BigInt(content.length) };
}

function serve(gateways: Record<string, (cid: string) => Uint8Array | undefined>): string[] {
  vi.stubGlobal("fetch", async (url: string) => {
    const { origin, pathname } = new URL(url);
    const bytes = gateways[origin]?.(pathname.replace("/ipfs/", ""));
    return bytes ? new Response(bytes.slice()) : new Response("", { status: 404 });
  });
  return Object.keys(gateways);
}

const some = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, at) => (at * seed + (at >> 8) + (at >> 16) * 31) & 255);
const CONTENTS = [some(10, 3), some(LEAF_SIZE, 5), new Uint8Array(), some(LEAF_SIZE * 2 + 4321, 7)];
const WHOLE = concatBytes(...CONTENTS);
const nothing = () => {};

function published(): { blocks: Blocks; files: File[]; attested: Attested } {
  const blocks: Blocks = new Map();
  const files = CONTENTS.map((bytes, at) => add(blocks, `${at}`, bytes));
  return { blocks, files, attested: attest(blocks, files, WHOLE) };
}

afterEach(() => vi.unstubAllGlobals());

test("all bytes lead to the attested root, and each chunk is the content's", async () => {
  const { blocks, attested } = published();
  const gateways = serve({ "https://good": (cid) => blocks.get(cid) });
  const steps: number[] = [];
  expect(await checkWhole(attested, gateways, (done) => steps.push(done))).toEqual({ outcome: "held", liars: [] });
  expect(steps.at(-1)).toBe(WHOLE.length);
  for (const wanted of [0, 16, 17, 48]) {
    const { chunk } = await hashChunks(await Content.open(attested, gateways), nothing, wanted);
    expect(chunk).toEqual(WHOLE.slice(wanted * CHUNK_SIZE, (wanted + 1) * CHUNK_SIZE));
  }
});

test("a sample is held, silent or wrong by the block that has its byte, and another gateway mends it", async () => {
  const { blocks, files, attested } = published();
  const broken = cidOf({ node: false, sha256: bytesToHex(sha256((CONTENTS[3] as Uint8Array).slice(0, LEAF_SIZE))) });
  const first = 10 + LEAF_SIZE;
  const positions = [0, 9, 10, first - 1, first, first + LEAF_SIZE - 1, first + LEAF_SIZE, WHOLE.length - 1];
  const outcomes = async (gateways: string[]) => {
    const samples = await samplePositions(attested, positions, gateways, nothing);
    return samples.sort((a, b) => a.position - b.position).map(({ outcome, liars }) => [outcome, ...liars].join(" "));
  };
  const good = (cid: string) => blocks.get(cid);
  const expected = (said: string) => positions.map((at) => (at >= first && at < first + LEAF_SIZE ? said : "held"));
  expect(await outcomes(serve({ "https://good": good }))).toEqual(expected("held"));
  const without = (cid: string) => (cid === broken ? undefined : good(cid));
  expect(await outcomes(serve({ "https://gone": without }))).toEqual(expected("absent"));
  const liar = (cid: string) => (cid === broken ? Uint8Array.of(1) : good(cid));
  expect(await outcomes(serve({ "https://liar": liar }))).toEqual(expected("wrong https://liar"));
  expect(await outcomes(serve({ "https://liar": liar, "https://good": good }))).toEqual(expected("held"));
  // Without the manifest nothing of it can be told.
  expect(await outcomes(serve({ "https://gone": () => undefined }))).toEqual(positions.map(() => "absent"));
  const large = (files[3] as File).cid;
  const samples = await samplePositions(
    attested,
    [first],
    serve({ "https://x": (cid) => (cid === large ? undefined : good(cid)) }),
    nothing,
  );
  expect(samples).toMatchObject([{ chunk: Math.floor(first / CHUNK_SIZE), outcome: "absent" }]);
});

test("a manifest that contradicts itself or the chain does not hold, whoever sends it", async () => {
  const { blocks, files } = published();
  const judge = async (attested: Attested) => {
    const gateways = serve({ "https://good": (cid) => blocks.get(cid) });
    const whole = await checkWhole(attested, gateways, nothing);
    const [sample] = await samplePositions(attested, [WHOLE.length - 1], gateways, nothing);
    return [whole.outcome, sample?.outcome];
  };
  const [one, two, three, four] = files as [File, File, File, File];
  const listed = (...all: File[]) => attest(blocks, all, WHOLE);
  // Other bytes than the root's: only all of them together can show it.
  const other = add(blocks, "3", some(LEAF_SIZE * 2 + 4321, 9));
  expect(await judge(listed(one, two, three, other))).toEqual(["content", "held"]);
  // A hash of the file that is not its blocks'.
  expect(await judge(listed(one, two, three, { ...four, sha256: one.sha256 }))).toEqual(["malformed", "held"]);
  // An address of one block for two, of another file, or with another size.
  expect(await judge(listed(one, two, three, { ...four, cid: one.cid }))).toEqual(["malformed", "malformed"]);
  expect(await judge(listed({ ...one, cid: two.cid }, two, three, four))).toEqual(["malformed", "malformed"]);
  const short = [two, { ...four, size: four.size - 1 }, { ...one, size: one.size + 1 }] as const;
  expect(await judge(listed(...short, three))).toEqual(["malformed", "malformed"]);
  expect(await judge(listed(one, two, three))).toEqual(["malformed", "malformed"]);
  const attested = attest(blocks, files, WHOLE);
  expect(await judge({ ...attested, root: "ab".repeat(32) })).toEqual(["content", "content"]);
  expect(await judge({ ...attested, size: attested.size + 1n })).toEqual(["content", "content"]);
});

test("files that fill listings are found in them, and only as deep as listings may be", async () => {
  const { blocks, files } = published();
  const listing = (parts: { [name: string]: Json }): { sha256: string; size: number; files: number } => {
    const text = canonical({ schema: "llamafund/listing/1", ...parts });
    const inside = (parts.files ?? parts.listings) as { size: number }[];
    const size = inside.reduce((sum, one) => sum + one.size, 0);
    return { sha256: keep(blocks, new TextEncoder().encode(text)).sha256, size, files: 1 };
  };
  const inner = [listing({ files: files.slice(0, 2) }), listing({ files: files.slice(2) })];
  const middle = [listing({ listings: inner })];
  const outer = [listing({ listings: middle })];
  const gateways = serve({ "https://good": (cid) => blocks.get(cid) });
  for (const [listings, outcome] of [
    [inner, "held"],
    [middle, "held"],
    [outer, "malformed"],
  ] as const) {
    const attested = attest(blocks, [], WHOLE, { listings });
    expect((await checkWhole(attested, gateways, nothing)).outcome).toBe(outcome);
    const samples = await samplePositions(attested, [0, WHOLE.length - 1], gateways, nothing);
    expect(samples.map((one) => one.outcome)).toEqual([outcome, outcome]);
  }
  const wrong = attest(blocks, [], WHOLE, {
    listings: [
      { ...inner[0], size: 3 },
      { ...inner[1], size: WHOLE.length - 3 },
    ] as Json,
  });
  expect((await checkWhole(wrong, gateways, nothing)).outcome).toBe("malformed");
});

test("a file of several levels is walked to each of its bytes", async () => {
  const blocks: Blocks = new Map();
  const size = LEAF_SIZE * (FANOUT + 2) - 5;
  const file = add(blocks, "zeros", new Uint8Array(size));
  const attested = attest(blocks, [file], new Uint8Array(8), { content: { root: "ab".repeat(32), size } });
  const gateways = serve({ "https://good": (cid) => blocks.get(cid) });
  const positions = [0, LEAF_SIZE * FANOUT - 1, LEAF_SIZE * FANOUT, size - 1];
  const samples = await samplePositions(
    { ...attested, root: "ab".repeat(32), size: BigInt(size) },
    positions,
    gateways,
    nothing,
  );
  expect(samples.map((one) => one.outcome)).toEqual(positions.map(() => "held"));
});

test("a node of another form is refused wherever a byte of it is changed", () => {
  const blocks: Blocks = new Map();
  const size = LEAF_SIZE + 9;
  const node = blocks.get(add(blocks, "x", some(size, 3)).cid) as Uint8Array;
  const names = childrenOf(node, size);
  expect(names.map((name) => name.node)).toEqual([false, false]);
  const unread = Array.from(node).filter((byte, at) => {
    const changed = node.slice();
    changed[at] = byte ^ 1;
    try {
      return canonical(childrenOf(changed, size)) === canonical(names);
    } catch {
      return false;
    }
  });
  // Only how many bytes two blocks take up (`Tsize`: 262144 and 9) is not read: nobody needs it.
  expect(unread).toEqual([...varint(LEAF_SIZE), ...varint(9)]);
  for (const other of [size - 1, size + 1, LEAF_SIZE * 3]) expect(() => childrenOf(node, other)).toThrow();
  expect(() => childrenOf(concatBytes(node, Uint8Array.of(0)), size)).toThrow();
  expect(() => childrenOf(node.slice(0, -1), size)).toThrow();
});

test("positions are drawn from all of the content, and the odds are those of independent draws", () => {
  const drawn = draw(1000, 2000);
  expect(Math.min(...drawn)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...drawn)).toBeLessThan(1000);
  expect(new Set(drawn).size).toBeGreaterThan(700);
  expect(Math.max(...draw(2 ** 53 - 1, 50))).toBeGreaterThan(2 ** 48);
  expect(missedBy(20, 0.1)).toBeCloseTo(0.1216, 3);
  expect(missedBy(0, 0.1)).toBe(1);
});
