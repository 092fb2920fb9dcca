/** Strangers' text made safe to read: every character is visible. Preact writes it as text, so nothing of it runs. */

const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u;
const SPACE = /[\n\r\t\p{Zs}]/u;

/** One line of text. What is longer than `limit` characters is cut, and says so. */
export function printable(text: string, limit = 600): string {
  const characters = Array.from(text.slice(0, limit * 2));
  const kept = characters.slice(0, limit).map(visible).join("");
  const all = text.length <= limit * 2 ? characters.length : Array.from(text).length;
  return all > limit ? `${kept}… (${all - limit} more characters)` : kept;
}

/** Text with paragraphs: its lines, each made printable; empty ones separate paragraphs. */
export function paragraphs(text: string, limit = 20_000): string[][] {
  return text
    .slice(0, limit)
    .split(/\n\s*\n/)
    .map((part) => part.split("\n").map((line) => printable(line, limit).trim()))
    .map((lines) => lines.filter((line) => line !== ""))
    .filter((lines) => lines.length > 0);
}

function visible(character: string): string {
  if (SPACE.test(character)) return " ";
  if (UNPRINTABLE.test(character)) return `\\u{${character.codePointAt(0)?.toString(16)}}`;
  return character;
}
