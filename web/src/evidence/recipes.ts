/** Whether others can repeat a recipe: the rule of `llamafund_chain/evidence/recipes.py`, as far as it needs no YAML. */

import { fields, type Json } from "./manifests";
import { readJson } from "./strictJson";

const KINDS: readonly Json[] = ["llamafund/recipe/1", "llamafund/program/1"];
const CLAIM = /^ ?"?schema"?: *["']?llamafund\/(?:recipe|program)\/1\b/m;
const TRAINER = /^schema: *(["']?)llamafund\/recipe\/1\1\s*(?:#.*)?$/;
const SAYS_NOTHING = /^\s*(?:#.*)?$/;
const NAME = "llamafund/";

/** `null` if only the command line can tell. */
export function isReplayable(bytes: Uint8Array): boolean | null {
  // Each byte is a letter, so whatever is no UTF-8 stays what it is.
  const letters = new TextDecoder("latin1").decode(bytes);
  if (/^[ \t\n\r\v\f]*\{/.test(letters)) {
    try {
      const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
      return KINDS.includes(fields(readJson(text)).schema ?? null);
    } catch {
      return CLAIM.test(letters);
    }
  }
  const [first = "", next = ""] = letters.split("\n").filter((line) => !SAYS_NOTHING.test(line));
  // An indented line would go on with the value.
  if (TRAINER.test(first) && !/^\s/.test(next)) return true;
  return letters.includes(NAME) ? null : false;
}
