/** Bytes, hexadecimal digits and numbers. Nothing in this folder needs anything from outside it. */

/** Bytes from hexadecimal digits, with or without `0x`. Throws an Error for anything else. */
export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/^0x/, "");
  if (!/^([0-9a-fA-F]{2})*$/.test(digits)) throw new Error("something is not hexadecimal");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Hexadecimal digits, two for each byte, without `0x`. */
export function toHex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function join(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}

/** An unsigned number, big end first. */
export function number(data: Uint8Array): bigint {
  return data.length > 0 ? BigInt(`0x${toHex(data)}`) : 0n;
}

/** A number in as few bytes as it needs, big end first; none for 0. */
export function minimal(value: bigint): Uint8Array {
  const digits = value.toString(16);
  return value > 0n ? fromHex(digits.padStart(digits.length + (digits.length % 2), "0")) : new Uint8Array();
}

/** A number in 32 bytes; negative ones in two's complement. */
export function word(value: bigint | number): Uint8Array {
  return fromHex(BigInt.asUintN(256, BigInt(value)).toString(16).padStart(64, "0"));
}

/** An address, or other bytes in hexadecimal, in 32 bytes with zeros in front. */
export function padded(text: string): Uint8Array {
  return fromHex(text.replace(/^0x/, "").padStart(64, "0"));
}
