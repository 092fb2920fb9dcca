/**
 * What a state root says: accounts and what they store, by paths through Merkle Patricia tries (Yellow Paper, 4.1 and
 * appendix D). Each node is named by its Keccak-256; nothing is decoded before its hash is the one that the node above
 * names.
 */

import { fromHex, join, number, toHex, word } from "./bytes";
import { decode, type Rlp } from "./rlp";

/** Keccak-256. Whoever uses these proofs brings theirs. */
export type Keccak = (data: Uint8Array) => Uint8Array;

export type Account = { nonce: bigint; balance: bigint; storageRoot: Uint8Array; codeHash: Uint8Array };

const EMPTY_ROOT = "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421";
const EMPTY_CODE = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";

/** What nodes tell of an address where there is no account. */
export const NO_ACCOUNT: Account = {
  ...{ nonce: 0n, balance: 0n },
  ...{ storageRoot: fromHex(EMPTY_ROOT), codeHash: fromHex(EMPTY_CODE) },
};

/** Nodes on the longest path: one for each half byte of a key, and its leaf. */
const LONGEST = 65;

/** Slots of `contracts/Campaign.sol`; tests compare what is proven with what the contract says. */
export const SLOTS = { ledger: 0n, backers: 3n, votes: 5n, claimed: 6n } as const;

/** Proofs against state roots, from nodes that nobody trusts. Throws an Error where they do not prove what is asked. */
export class Proofs {
  readonly #nodes: Map<string, Uint8Array>;

  constructor(
    private readonly keccak: Keccak,
    nodes: Iterable<Uint8Array>,
  ) {
    this.#nodes = new Map(Array.from(nodes, (node) => [toHex(keccak(node)), node]));
  }

  /** The account at an address (20 bytes); null if the state is proven to have none there. */
  account(stateRoot: Uint8Array, address: Uint8Array): Account | null {
    const found = this.#find(stateRoot, this.keccak(address));
    if (found === null) return null;
    const parts = decode(found);
    const [nonce, balance, storageRoot, codeHash]: Rlp[] = isBytes(parts) ? [] : parts;
    if (parts.length !== 4 || !isBytes(nonce) || !isBytes(balance) || !isBytes(storageRoot) || !isBytes(codeHash)) {
      throw new Error("An account has another form");
    }
    return { nonce: number(nonce), balance: number(balance), storageRoot, codeHash };
  }

  /** What a contract has stored at a slot; 0 if it is proven to have nothing there. */
  word(storageRoot: Uint8Array, slot: bigint): bigint {
    const found = this.#find(storageRoot, this.keccak(word(slot)));
    if (found === null) return 0n;
    const value = decode(found);
    if (!isBytes(value) || value.length > 32) throw new Error("A stored word has another form");
    return number(value);
  }

  /** The value of a key; null if it is proven to have none. */
  #find(root: Uint8Array, key: Uint8Array): Uint8Array | null {
    if (toHex(root) === EMPTY_ROOT) return null;
    let path = halves(key);
    let here: Rlp | undefined = root;
    for (let step = 0; step < LONGEST; step += 1) {
      if (isBytes(here)) {
        if (here.length === 0) return null;
        const node = this.#nodes.get(toHex(here));
        if (node === undefined) throw new Error(`A proof lacks the node 0x${toHex(here)}`);
        here = decode(node);
      }
      if (!Array.isArray(here)) throw new Error("A node of a proof has another form");
      if (here.length === 17) {
        const [half, ...rest] = path;
        if (half === undefined) return terminal(here[16]);
        [here, path] = [here[half], rest];
        continue;
      }
      const [packed, next]: Rlp[] = here;
      if (here.length !== 2 || !isBytes(packed)) throw new Error("A node of a proof has another form");
      const [flag = 4, ...digits] = halves(packed);
      if (flag > 3) throw new Error("A node of a proof has another form");
      const part = flag & 1 ? digits : digits.slice(1);
      const isLeaf = (flag & 2) !== 0;
      if (part.some((half, place) => path[place] !== half) || (isLeaf && part.length !== path.length)) return null;
      if (isLeaf) return terminal(next);
      [here, path] = [next, path.slice(part.length)];
    }
    throw new Error("A proof goes on for longer than its key");
  }
}

/** Where a mapping at a slot keeps what belongs to a key of 32 bytes. */
export function entry(key: Uint8Array, slot: bigint, keccak: Keccak): bigint {
  return number(keccak(join(key, word(slot))));
}

/** A part of a word, as Solidity packs it: `bits` of them, from the bit `first` on, counted from the lowest. */
export function part(value: bigint, first: number, bits: number): bigint {
  return (value >> BigInt(first)) & ((1n << BigInt(bits)) - 1n);
}

function isBytes(value: Rlp | undefined): value is Uint8Array {
  return value instanceof Uint8Array;
}

function terminal(value: Rlp | undefined): Uint8Array | null {
  if (!isBytes(value)) throw new Error("A node of a proof has another form");
  return value.length > 0 ? value : null;
}

function halves(data: Uint8Array): number[] {
  return Array.from(data).flatMap((byte) => [byte >> 4, byte & 15]);
}
