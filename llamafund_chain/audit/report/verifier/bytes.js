// Bytes, numbers and text.

import { keccak_256 } from "@noble/hashes/sha3.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { fromHex, join, number, padded, toHex, word } from "../../../../web/src/proofs/bytes.ts";

export const WORD = 32;

export { fromHex, join, number, padded, toHex, word };

export function keccak(data) {
  return keccak_256(typeof data === "string" ? new TextEncoder().encode(data) : data);
}

/** SHA-256 of a text in UTF-8, hexadecimal. */
export function sha256Of(text) {
  return toHex(sha256(new TextEncoder().encode(text)));
}

/** Smallest units as whole coins, exact. */
export function amount(units, decimals) {
  const sign = units < 0n ? "-" : "";
  const digits = (units < 0n ? -units : units).toString().padStart(decimals + 1, "0");
  const fraction = digits.slice(digits.length - decimals, digits.length).replace(/0+$/, "");
  const whole = digits.slice(0, digits.length - decimals);
  return decimals && fraction ? `${sign}${whole}.${fraction}` : `${sign}${decimals ? whole : digits}`;
}

/** An amount as the page rounds it. */
export function rounded(text) {
  const [whole, fraction = ""] = text.split(".");
  if (fraction.length <= 4) return text;
  const kept = fraction.slice(0, 4).replace(/0+$/, "");
  if (!kept && !whole.replace(/^[-0]+/, "")) return "under 0.0001";
  return kept ? `≈ ${whole}.${kept}` : `≈ ${whole}`;
}

/** Text as the page shows it: with every character visible. */
export function visible(text) {
  return text
    .replace(/[\n\r\t]/g, " ")
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, (one) => `\\u{${one.codePointAt(0).toString(16)}}`);
}

/** RFC 8785: JSON with sorted names and no spaces. */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}

/** Unix seconds of a time in a report. */
export function seconds(text) {
  return BigInt(Math.floor(Date.parse(text) / 1000));
}
