import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { afterEach, expect, test, vi } from "vitest";
import { cidOf, fetchHash, nameOf, readCid } from "./gateways";
import {
  canonical,
  evidenceFrom,
  fetchManifest,
  type Json,
  parseManifest,
  proposalFrom,
  updateFrom,
} from "./manifests";

const bytes = (text: string) => new TextEncoder().encode(text);
const hex = (text: string) => bytesToHex(sha256(bytes(text)));

afterEach(() => vi.unstubAllGlobals());

test("an address is the hash, in base32", () => {
  const [cid, name] = ["bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", { node: false, sha256: hex("") }];
  expect(cidOf(name)).toBe(cid);
  expect(readCid(cid)).toEqual(name);
  const node = { node: true, sha256: hex("x") };
  expect(readCid(cidOf(node))).toEqual(node);
  // Another letter at the end has stray bits; other versions, codecs and hashes are not evidence's.
  for (const bad of [
    `${cid.slice(0, -1)}v`,
    cid.toUpperCase(),
    cid.slice(0, -1),
    `${cid}a`,
    "QmWATWQ7fVPP2EFGu71UkfnqhYXDYH566qy47CnJDgvs8u",
    "",
  ]) {
    expect(() => readCid(bad), bad).toThrow("address");
  }
  expect(() => nameOf(Uint8Array.of(1, 0x55, 0x1b, 0x20, ...new Uint8Array(32)))).toThrow("address");
});

test("only canonical bytes are a manifest", () => {
  expect(parseManifest(bytes('{"a":1,"b":[true,null,"ü"]}'))).toEqual({ a: 1, b: [true, null, "ü"] });
  const bad = ['{"b":1,"a":2}', '{"a":1,"a":1}', '{"a": 1}', '{"a":1.5}', '{"a":1e3}', "[1]", '{"a":9007199254740993}'];
  for (const text of [...bad, '\ufeff{"a":1}', `{"a":${"[".repeat(40)}${"]".repeat(40)}}`]) {
    expect(() => parseManifest(bytes(text)), text).toThrow();
  }
  expect(() => parseManifest(Uint8Array.of(0xff))).toThrow();
  expect(() => parseManifest(new Uint8Array(300_000))).toThrow();
});

test("a manifest of another kind, or with a field of another type, is none", () => {
  expect(() => proposalFrom({ schema: "llamafund/update/1" })).toThrow("schema");
  const update = { schema: "llamafund/update/1", campaign: "eip155:1:0x", title: "t", text: "x" };
  expect(updateFrom(update).links).toEqual([]);
  for (const change of [{ title: 1 }, { text: null }, { links: [{}] }, { title: "x".repeat(1000) }]) {
    expect(() => updateFrom({ ...update, ...change } as { [name: string]: Json })).toThrow();
  }
  const evidence = { schema: "llamafund/dataset/1", content: { root: "ab".repeat(32), size: 9 }, files: [{}, {}] };
  expect(evidenceFrom(evidence)).toMatchObject({ files: 2, content: { size: 9 }, license: null });
  expect(() => evidenceFrom({ ...evidence, content: { root: "AB", size: 9 } })).toThrow("hash");
});

test("another gateway mends what one garbles, and who lied is known", async () => {
  const text = canonical({ schema: "llamafund/update/1", campaign: "c", title: "t", text: "x" });
  const answers: Record<string, () => Response> = {
    "https://liar": () => new Response("something else"),
    "https://gone": () => new Response("", { status: 504 }),
    "https://good": () => new Response(text),
    "https://endless": () => new Response("x".repeat(300_000)),
  };
  vi.stubGlobal("fetch", async (url: string) => (answers[new URL(url).origin] as () => Response)());
  const all = Object.keys(answers);
  expect(await fetchManifest(hex(text), all, updateFrom)).toMatchObject({ outcome: "read", from: "https://good" });
  expect(await fetchHash(hex(text), all, 1000)).toMatchObject({ outcome: "found", liars: ["https://liar"] });
  expect(await fetchHash(hex(text), ["https://gone", "https://endless"], 1000)).toMatchObject({ outcome: "absent" });
  expect(await fetchHash(hex(text), ["https://gone", "https://liar"], 1000)).toMatchObject({ outcome: "wrong" });
});
