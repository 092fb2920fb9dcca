/** Amounts, shares and times as the reader's language writes them. Amounts stay text: a number would lose digits. */

import { type Asset, plain } from "../chain/assets";
import { language, t } from "../words";

/** Decimal text in the reader's language, with all its digits: older browsers format no more than 20 of a fraction. */
export function decimal(text: string): string {
  const format = new Intl.NumberFormat(language());
  const [whole = "0", fraction] = text.replace(/^-/, "").split(".");
  const point = format.formatToParts(0.5).find((part) => part.type === "decimal")?.value ?? ".";
  return `${text.startsWith("-") ? "-" : ""}${format.format(BigInt(whole))}${fraction ? point + fraction : ""}`;
}

/** An amount with its unit. */
export function money(amount: bigint, asset: Asset): string {
  return `${decimal(plain(amount, asset))} ${asset.symbol || t("unit.coin")}`;
}

/** Basis points as a share. */
export function share(bps: number): string {
  return new Intl.NumberFormat(language(), { style: "percent", maximumFractionDigits: 2 }).format(bps / 10_000);
}

/** A probability, with two digits that say something. */
export function odds(value: number): string {
  return new Intl.NumberFormat(language(), { style: "percent", maximumSignificantDigits: 2 }).format(value);
}

/** How much of a whole a part is, rounded down, so that 100 % is only shown when nothing is missing. */
export function percent(part: bigint, whole: bigint): number {
  return whole === 0n ? 0 : Number((part * 100n) / whole);
}

/** Millionths as a decimal number. */
export function millionths(value: bigint | number): string {
  const whole = BigInt(value);
  const size = whole < 0n ? -whole : whole;
  const text = `${whole < 0n ? "-" : ""}${size / 1_000_000n}.${(size % 1_000_000n).toString().padStart(6, "0")}`;
  return decimal(text.replace(/\.?0+$/, ""));
}

export function when(seconds: number): string {
  return new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" }).format(seconds * 1000);
}

const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;

/** How far a time is from another one, for example “in 3 days”. */
export function fromNow(seconds: number, now: number): string {
  const far = seconds - now;
  const [unit, size] = UNITS.find(([, length]) => Math.abs(far) >= length) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(language(), { numeric: "always" }).format(Math.trunc(far / size), unit);
}

/** A length of time in its largest unit that leaves nothing out, for example “2 days”. */
export function duration(seconds: number): string {
  const [unit, size] = UNITS.find(([, length]) => seconds >= length && seconds % length === 0) ?? ["second", 1];
  return new Intl.NumberFormat(language(), { style: "unit", unit, unitDisplay: "long" }).format(seconds / size);
}

export function bytes(size: number): string {
  const [unit, step] =
    size >= 1e9 ? ["gigabyte", 1e9] : size >= 1e6 ? ["megabyte", 1e6] : size >= 1e3 ? ["kilobyte", 1e3] : ["byte", 1];
  const style = { style: "unit", unit, maximumFractionDigits: 1 } as Intl.NumberFormatOptions;
  return new Intl.NumberFormat(language(), style).format(size / (step as number));
}
