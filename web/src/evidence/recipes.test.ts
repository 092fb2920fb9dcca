import { expect, test } from "vitest";
import { isReplayable } from "./recipes";

test.each<[string, boolean | null]>([
  ["schema: llamafund/recipe/1\ntitle: A model\n", true],
  ['# Mine.\n\nschema: "llamafund/recipe/1"  # the first\nmodel:\n  layers: 2\n', true],
  ['{"entry":"a.py","schema":"llamafund/program/1"}', true],
  ['{\n "schema": "llamafund/program/1"', true],
  ['{"schema":"llamafund/program/1"', false],
  ['{"schema":"mine","schema":"llamafund/program/1"}', false],
  ['{"schema":"mine"}', false],
  ['{"schema":["llamafund/program/1"]}', false],
  ["import torch\n", false],
  ["\xff", false],
  ["", false],
  // What goes on in the next line, or stands inside a text, is another value.
  ["schema: llamafund/recipe/1\n\n  or another\n", null],
  ['"first\nschema: llamafund/recipe/1\n"\n', null],
  ["title: A model\nschema: llamafund/recipe/1\n", null],
  ["# llamafund/recipe/1\nimport torch\n", null],
])("%j is replayable: %s", (text, expected) => {
  expect(isReplayable(Uint8Array.from(text, (letter) => letter.charCodeAt(0)))).toBe(expected);
});
