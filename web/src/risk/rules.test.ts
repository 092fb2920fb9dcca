import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type Facts, grade, judge } from "./rules";

type Vector = {
  name: string;
  base: string;
  changes: Facts;
  grade: string;
  holds: string[];
  others: { rule: string; outcome: string; severity: string; detail: string }[];
  says?: Record<string, string>;
};

const path = new URL("../../../tests/vectors/risk-rules.json", import.meta.url);
const vectors = JSON.parse(readFileSync(path, "utf8")) as { bases: Record<string, Facts>; vectors: Vector[] };

test.each(vectors.vectors.map((vector) => [vector.name, vector] as const))("%s: as llamafund inspect", (_, vector) => {
  const found = judge({ ...vectors.bases[vector.base], ...vector.changes });
  expect(found.filter((one) => one.outcome === "holds").map((one) => one.id)).toEqual(vector.holds);
  const others = found.filter((one) => one.outcome !== "holds");
  expect(others.map(({ id, outcome, severity, detail }) => ({ rule: id, outcome, severity, detail }))).toEqual(
    vector.others,
  );
  expect(grade(found).grade).toBe(vector.grade);
  if (vector.says) expect(Object.fromEntries(found.map((one) => [one.id, one.detail]))).toEqual(vector.says);
});
