/** The published rules about risks, evaluated as `llamafund inspect` does (docs/risk-rules.md, shared vectors). */

import { formatUnits } from "viem";
import rules from "../generated/rules.json";
import { printable } from "../look/printable";

/** By name: flags, whole numbers (large ones as decimal text), texts, lists of texts. What is missing is unknown. */
export type Facts = Record<string, boolean | number | string | readonly string[] | null | undefined>;

export type Outcome = "holds" | "fails" | "unknown";
export type Severity = "critical" | "high" | "medium" | "low";
export type Judged = { id: string; title: string; outcome: Outcome; severity: Severity; detail: string; ask: string };
export type Grade = { grade: string; means: string };

type Condition = Record<string, unknown>;
type Case = { severity: Severity; when: Condition; says: string };

const SEVERITIES: readonly Severity[] = ["critical", "high", "medium", "low"];
const TYPES = rules.facts as Record<string, string>;
const TEXT_LIMIT = 300;

const COMPARE: Record<string, (left: bigint, right: bigint) => boolean> = {
  below: (left, right) => left < right,
  at_most: (left, right) => left <= right,
  above: (left, right) => left > right,
  at_least: (left, right) => left >= right,
};

/** The rules' outcomes, in their order. A rule that does not apply is left out. */
export function judge(facts: Facts): Judged[] {
  return rules.rules.flatMap((rule): Judged[] => {
    const given = (rule as { given?: Condition }).given;
    const asked = given === undefined ? true : holds(given, facts);
    if (asked === false) return [];
    const cases = rule.cases as unknown as Case[];
    const told = cases.map((one) => holds(one.when, facts));
    const failed = asked ? cases.filter((_, place) => told[place]) : [];
    const { id, title, ask } = rule;
    if (failed.length > 0) {
      const detail = failed.map((one) => fill(one.says, facts)).join(". ");
      return [{ id, title, ask, outcome: "fails", severity: worst(failed), detail }];
    }
    if (asked === null || told.includes(null)) {
      const open = cases.filter((_, place) => told[place] !== false);
      const severity = worst(open.length > 0 ? open : cases);
      return [{ id, title, ask, outcome: "unknown", severity, detail: fill(rule.unknown, facts) }];
    }
    return [{ id, title, ask, outcome: "holds", severity: worst(cases), detail: fill(rule.holds, facts) }];
  });
}

/** The worst grade that an outcome is a reason for, else the best. */
export function grade(judged: readonly Judged[]): Grade {
  const found = rules.grades.find((candidate) =>
    candidate.any.some((reason) =>
      judged.some((one) => one.severity === reason.severity && one.outcome === reason.outcome),
    ),
  );
  return found ?? (rules.grades.at(-1) as Grade);
}

/** Whether a condition holds; null if the facts do not tell. */
function holds(condition: Condition, facts: Facts): boolean | null {
  if ("all" in condition) return all((condition.all as Condition[]).map((part) => holds(part, facts)));
  if ("any" in condition) return not(all((condition.any as Condition[]).map((part) => not(holds(part, facts)))));
  if ("not" in condition) return not(holds(condition.not as Condition, facts));
  const left = facts[condition.fact as string];
  if (left === null || left === undefined) return null;
  if ("empty" in condition) return (Array.isArray(left) && left.length === 0) === condition.empty;
  if ("is" in condition) {
    const right = condition.is;
    return typeof right === "number" ? whole(left) === BigInt(right) : left === right;
  }
  const operator = Object.keys(COMPARE).find((name) => name in condition) as string;
  let right = condition[operator];
  if (typeof right === "object" && right !== null) {
    right = facts[(right as { fact: string }).fact];
    if (right === null || right === undefined) return null;
  }
  const compare = COMPARE[operator] as (left: bigint, right: bigint) => boolean;
  return compare(whole(left) * BigInt((condition.times as number | undefined) ?? 1), whole(right));
}

/** A sentence with the facts in place of their names. */
function fill(template: string, facts: Facts): string {
  return template.replace(/\{([a-z_]+)\}/g, (_, name: string) => shown(name, TYPES[name], facts));
}

function shown(name: string, type: string | undefined, facts: Facts): string {
  const value = facts[name];
  const amount = type === "money" || type === "wei" || type === "cost";
  if (value === null || value === undefined) return amount ? "an unknown amount" : "unknown";
  if (Array.isArray(value)) return value.map((one) => printable(one, TEXT_LIMIT)).join("; ");
  if (type === "money") return `${formatUnits(whole(value), Number(facts.asset_decimals))} ${facts.asset_symbol}`;
  if (amount)
    return `${formatUnits(type === "cost" ? threeDigits(whole(value)) : whole(value), 18)} ${facts.coin_symbol}`;
  if (type === "seconds") return seconds(Number(value));
  if (type === "millionths") return formatUnits(whole(value), 6);
  return printable(`${value}`, TEXT_LIMIT);
}

/** A length of time in its two largest units, in the rules' English. */
function seconds(length: number): string {
  const units = [
    ["day", 86_400],
    ["hour", 3_600],
    ["minute", 60],
    ["second", 1],
  ] as const;
  let rest = length;
  const parts = units.flatMap(([name, size]) => {
    const count = Math.floor(rest / size);
    rest %= size;
    return count > 0 ? [`${count} ${name}${count > 1 ? "s" : ""}`] : [];
  });
  return parts.slice(0, 2).join(" ") || "0 seconds";
}

/** Rounded up to three digits, to be read by people. */
export function threeDigits(amount: bigint): bigint {
  const step = 10n ** BigInt(Math.max(0, `${amount}`.length - 3));
  return ((amount + step - 1n) / step) * step;
}

function whole(value: unknown): bigint {
  return BigInt(value as bigint | number | string);
}

function all(answers: readonly (boolean | null)[]): boolean | null {
  if (answers.includes(false)) return false;
  return answers.includes(null) ? null : true;
}

function not(answer: boolean | null): boolean | null {
  return answer === null ? null : !answer;
}

function worst(cases: readonly { severity: Severity }[]): Severity {
  return SEVERITIES[Math.min(...cases.map((one) => SEVERITIES.indexOf(one.severity)))] as Severity;
}
