import { keccak256 } from "viem";
import { expect, test } from "vitest";
import { fromHex, join, toHex, word } from "./bytes";
import { checkHash } from "./header";
import { decode, encode, type Rlp } from "./rlp";
import { entry, Proofs, part } from "./state";

const keccak = (data: Uint8Array) => keccak256(data, "bytes");
const text = (value: string) => new TextEncoder().encode(value);

test("RLP is written as in the Yellow Paper, and read only if nothing is left over", () => {
  const long = text("Lorem ipsum dolor sit amet, consectetur adipisicing elit");
  const vectors: [Rlp, string][] = [
    [text("dog"), "83646f67"],
    [[text("cat"), text("dog")], "c88363617483646f67"],
    [new Uint8Array(), "80"],
    [[], "c0"],
    [Uint8Array.of(0), "00"],
    [fromHex("0400"), "820400"],
    [[[], [[]], [[], [[]]]], "c7c0c1c0c3c0c1c0"],
    [long, `b838${toHex(long)}`],
  ];
  for (const [value, written] of vectors) {
    expect(toHex(encode(value))).toBe(written);
    expect(decode(fromHex(written))).toEqual(value);
  }
  const deep = fromHex("c9c8c7c6c5c4c3c2c1c0");
  for (const bad of [fromHex("83646f"), fromHex("83646f6700"), fromHex("b8"), new Uint8Array(), deep]) {
    expect(() => decode(bad)).toThrow("RLP");
  }
});

/** The first block of Ethereum. */
const GENESIS = {
  parentHash: `0x${"00".repeat(32)}`,
  sha3Uncles: "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
  miner: `0x${"00".repeat(20)}`,
  stateRoot: "0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544",
  transactionsRoot: "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
  receiptsRoot: "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
  logsBloom: `0x${"00".repeat(256)}`,
  difficulty: "0x400000000",
  number: "0x0",
  gasLimit: "0x1388",
  gasUsed: "0x0",
  timestamp: "0x0",
  extraData: "0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa",
  mixHash: `0x${"00".repeat(32)}`,
  nonce: "0x0000000000000042",
};
const GENESIS_HASH = "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3";

test("a block's hash follows from its header, and fields that nobody knows accuse nobody", () => {
  expect(checkHash(GENESIS_HASH, GENESIS, keccak)).toBe("recomputed");
  expect(checkHash(GENESIS_HASH.toUpperCase().replace("0X", ""), GENESIS, keccak)).toBe("recomputed");
  expect(checkHash(GENESIS_HASH, { ...GENESIS, gasUsed: "0x1" }, keccak)).toBe("different");
  expect(checkHash(GENESIS_HASH, { ...GENESIS, baseFeePerGas: "0x1" }, keccak)).toBe("different");
  for (const more of [{ l1BlockNumber: "0x1" }, { blockAccessListHash: GENESIS_HASH }, { slotNumber: "0x1" }]) {
    expect(checkHash(GENESIS_HASH, { ...GENESIS, ...more, gasUsed: "0x1" }, keccak)).toBe("unknown");
  }
  const { nonce: _, ...short } = GENESIS;
  expect(checkHash(GENESIS_HASH, short, keccak)).toBe("unknown");
  expect(() => checkHash(GENESIS_HASH, { ...GENESIS, extraData: "0x1" }, keccak)).toThrow("hexadecimal");
});

/** A path of half bytes as a node keeps it. */
function packed(halves: number[], leaf: boolean): Uint8Array {
  const flag = (leaf ? 2 : 0) + (halves.length % 2);
  return fromHex([flag, ...(halves.length % 2 ? [] : [0]), ...halves].map((half) => half.toString(16)).join(""));
}

const halvesOf = (data: Uint8Array) => Array.from(data).flatMap((byte) => [byte >> 4, byte & 15]);

/** A trie of two slots, whose keys begin with different half bytes: its root and its nodes. */
function trieOf(first: [bigint, bigint], second: [bigint, bigint]): [Uint8Array, Uint8Array[]] {
  const branch: Rlp[] = Array.from({ length: 17 }, () => new Uint8Array());
  const nodes = [first, second].map(([slot, value]) => {
    const [half = 0, ...rest] = halvesOf(keccak(word(slot)));
    const node = encode([packed(rest, true), encode(fromHex(value.toString(16).padStart(64, "01")))]);
    branch[half] = keccak(node);
    return node;
  });
  const top = encode(branch);
  return [keccak(top), [top, ...nodes]];
}

test("a word is proven, its absence too, and nothing else", () => {
  const [root, nodes] = trieOf([0n, 7n], [1n, 9n]);
  const proofs = new Proofs(keccak, nodes);
  expect(part(proofs.word(root, 0n), 0, 8)).toBe(7n);
  expect(part(proofs.word(root, 1n), 0, 8)).toBe(9n);
  const other = [2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n];
  for (const slot of other) expect(proofs.word(root, slot)).toBe(0n);
  expect(new Proofs(keccak, []).word(keccak(encode(new Uint8Array())), 0n)).toBe(0n);
  // A node that was changed has another name, so the one that is named is missing.
  const changed = nodes.map((node, place) => (place === 1 ? join(node.slice(0, -1), Uint8Array.of(8)) : node));
  expect(() => new Proofs(keccak, changed).word(root, 0n)).toThrow("lacks the node");
  expect(() => new Proofs(keccak, nodes.slice(1)).word(root, 0n)).toThrow("lacks the node");
});

test("nodes of another form prove nothing", () => {
  const root = (node: Rlp) => [keccak(encode(node)), new Proofs(keccak, [encode(node)])] as const;
  const path = halvesOf(keccak(word(0n)));
  const leaf = packed(path, true);
  const seven = encode(Uint8Array.of(7));
  const bad: Rlp[] = [
    text("no list, and longer than that"),
    [leaf, seven, seven],
    [[leaf], seven],
    [leaf, [seven]],
    [join(Uint8Array.of(0x60), leaf.slice(1)), seven],
    [leaf, encode([])],
    [leaf, encode(new Uint8Array(33).fill(1))],
  ];
  for (const node of bad) {
    const [hash, proofs] = root(node);
    expect(() => proofs.word(hash, 0n), JSON.stringify(node)).toThrow();
  }
  const [hash, proofs] = root([leaf, seven]);
  expect(proofs.word(hash, 0n)).toBe(7n);
  expect(() => proofs.account(hash, word(0n))).toThrow("another form");
});

test("where a mapping keeps an entry is what Solidity says", () => {
  // keccak256(abi.encode(uint256(0), uint256(0)))
  const place = "ad3228b676f7d3cd4284a5443f17f1962b36e491b30a40b2405849e597ba5fb5";
  expect(entry(word(0n), 0n, keccak)).toBe(BigInt(`0x${place}`));
});
