/** What a person types into a field, read strictly: nothing is guessed where money is at stake. */

import { type Address, getAddress, isAddress } from "viem";
import { language } from "../../words";

/** An amount in smallest units, or why the text is none. */
export type Typed<T> = { value: T } | { wrong: "empty" | "form" | "digits" | "zero" | "address" | "range" };

/** A decimal number as the reader's language writes it, without separators between thousands. */
export function amountOf(text: string, decimals: number): Typed<bigint> {
  const trimmed = text.trim();
  if (trimmed === "") return { wrong: "empty" };
  const point = language() === "de" ? "," : ".";
  const parts = trimmed.split(point);
  const [whole = "", fraction = ""] = parts;
  if (parts.length > 2 || !/^\d{1,60}$/.test(whole) || (parts.length === 2 && !/^\d{1,80}$/.test(fraction))) {
    return { wrong: "form" };
  }
  const shown = fraction.replace(/0+$/, "");
  if (shown.length > decimals) return { wrong: "digits" };
  const value = BigInt(whole + shown.padEnd(decimals, "0"));
  return value === 0n ? { wrong: "zero" } : { value };
}

/** An address; a checksum that is there must be right. */
export function addressOf(text: string): Typed<Address> {
  const trimmed = text.trim();
  if (trimmed === "") return { wrong: "empty" };
  const plain = trimmed === trimmed.toLowerCase();
  return isAddress(trimmed, { strict: !plain }) ? { value: getAddress(trimmed) } : { wrong: "address" };
}

/** A whole number below a limit. */
export function wholeOf(text: string, limit: bigint): Typed<bigint> {
  const trimmed = text.trim();
  if (trimmed === "") return { wrong: "empty" };
  if (!/^\d{1,20}$/.test(trimmed)) return { wrong: "form" };
  const value = BigInt(trimmed);
  return value < limit ? { value } : { wrong: "range" };
}
