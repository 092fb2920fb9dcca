/**
 * JSON that strangers wrote, unambiguous: no name twice in one object, and no number that this page would round. As
 * `llamafund audit verify-report` reads it: integers beyond ±(2^53 - 1) become decimal text.
 */

import type { Json } from "./manifests";

const MAX_DEPTH = 32;
const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const WORDS: readonly [string, Json][] = [
  ["true", true],
  ["false", false],
  ["null", null],
];

/** Throws an Error that says what is wrong with the text. */
export function readJson(text: string): Json {
  let at = 0;
  const space = () => {
    SPACE.lastIndex = at;
    SPACE.exec(text);
    at = SPACE.lastIndex;
  };
  const match = (pattern: RegExp): RegExpExecArray => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found === null) throw new Error(`it is not JSON, at character ${at}`);
    at = pattern.lastIndex;
    return found;
  };
  const string = (): string => {
    let end = text.startsWith('"', at) ? at : -1;
    do end = end < 0 ? -1 : text.indexOf('"', end + 1);
    while (end > 0 && isEscaped(text, end));
    if (end < 0) throw new Error(`it is not JSON, at character ${at}`);
    const found = JSON.parse(text.slice(at, end + 1)) as string;
    at = end + 1;
    return found;
  };
  const takes = (sign: string): boolean => {
    space();
    if (!text.startsWith(sign, at)) return false;
    at += sign.length;
    return true;
  };
  const each = (end: string, one: () => void) => {
    if (takes(end)) return;
    do one();
    while (takes(","));
    if (!takes(end)) throw new Error(`it is not JSON, at character ${at}`);
  };
  const value = (depth: number): Json => {
    if (depth > MAX_DEPTH) throw new Error(`it is nested more than ${MAX_DEPTH} deep`);
    if (takes("{")) return object(depth);
    if (takes("[")) {
      const found: Json[] = [];
      each("]", () => found.push(value(depth + 1)));
      return found;
    }
    if (text[at] === '"') return string();
    const word = WORDS.find(([name]) => takes(name));
    return word ? word[1] : number(match(NUMBER));
  };
  const object = (depth: number): Json => {
    const found: { [name: string]: Json } = {};
    each("}", () => {
      space();
      const name = string();
      if (Object.hasOwn(found, name)) throw new Error(`it has the name ${name.slice(0, 80)} twice in one object`);
      if (!takes(":")) throw new Error(`it is not JSON, at character ${at}`);
      // An assignment to `__proto__` would be something else.
      const held = { value: value(depth + 1), enumerable: true, writable: true, configurable: true };
      Object.defineProperty(found, name, held);
    });
    return found;
  };
  const whole = value(0);
  space();
  if (at !== text.length) throw new Error(`it goes on after its end, at character ${at}`);
  return whole;
}

/** Whether an odd number of backslashes stands before a place. */
function isEscaped(text: string, place: number): boolean {
  let first = place;
  while (text[first - 1] === "\\") first -= 1;
  return (place - first) % 2 === 1;
}

function number([text, fraction, exponent]: RegExpExecArray): Json {
  const value = Number(text);
  if (!Number.isFinite(value)) throw new Error(`the number ${text.slice(0, 40)} is too large`);
  return fraction || exponent || Number.isSafeInteger(value) ? value : text;
}
