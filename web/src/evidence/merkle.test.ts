import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import { leafOf, pathOf, rootOf } from "./merkle";

/** RFC 9162, section 2.1.3.2, as the contract climbs. */
function climbs(leaf: Uint8Array, at: number, count: number, path: readonly Uint8Array[]): Uint8Array | null {
  let [fn, sn, node] = [at, count - 1, leaf];
  for (const sibling of path) {
    if (sn === 0) return null;
    if (fn & 1 || fn === sn) {
      node = sha256(concatBytes(Uint8Array.of(1), sibling, node));
      while (!(fn & 1) && fn !== 0) {
        fn >>= 1;
        sn >>= 1;
      }
    } else {
      node = sha256(concatBytes(Uint8Array.of(1), node, sibling));
    }
    fn >>= 1;
    sn >>= 1;
  }
  return sn === 0 ? node : null;
}

test("every chunk of every small tree climbs to its root as in the contract", () => {
  for (let count = 1; count <= 20; count += 1) {
    const leaves = Array.from({ length: count }, (_, at) => leafOf(Uint8Array.of(count, at)));
    const root = rootOf(leaves);
    for (let at = 0; at < count; at += 1) {
      expect(climbs(leaves[at] as Uint8Array, at, count, pathOf(leaves, at))).toEqual(root);
    }
  }
});
