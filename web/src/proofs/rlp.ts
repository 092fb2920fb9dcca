/** Recursive Length Prefix (Yellow Paper, appendix B). */

import { join, minimal, number } from "./bytes";

export type Rlp = Uint8Array | Rlp[];

const DEEPEST = 8;

export function encode(value: Rlp): Uint8Array {
  if (value instanceof Uint8Array) {
    return value.length === 1 && (value[0] ?? 0) < 128 ? value : join(prefix(value.length, 128), value);
  }
  const inner = join(...value.map(encode));
  return join(prefix(inner.length, 192), inner);
}

/** Bytes, or lists of them. Throws an Error if that is not all that there is. */
export function decode(data: Uint8Array): Rlp {
  const [value, end] = decodeAt(data, 0, 0);
  if (end !== data.length) throw new Error("A node of a proof is not in RLP");
  return value;
}

function prefix(length: number, offset: number): Uint8Array {
  if (length < 56) return Uint8Array.of(offset + length);
  const size = minimal(BigInt(length));
  return join(Uint8Array.of(offset + 55 + size.length), size);
}

function decodeAt(data: Uint8Array, place: number, depth: number): [Rlp, number] {
  const first = data[place];
  if (first === undefined || depth > DEEPEST) throw new Error("A node of a proof is not in RLP");
  if (first < 128) return [data.slice(place, place + 1), place + 1];
  const list = first >= 192;
  const short = first - (list ? 192 : 128);
  const size = short > 55 ? short - 55 : 0;
  const length = size > 0 ? Number(number(data.slice(place + 1, place + 1 + size))) : short;
  const start = place + 1 + size;
  const end = start + length;
  if (end > data.length) throw new Error("A node of a proof is not in RLP");
  if (!list) return [data.slice(start, end), end];
  const values: Rlp[] = [];
  for (let at = start; at < end; ) {
    const [value, next] = decodeAt(data, at, depth + 1);
    values.push(value);
    at = next;
  }
  return [values, end];
}
