/** The page's words, in the reader's language. A sentence's numbers come in already written for that language. */

import { PROJECT } from "../generated/constants";
import en from "./en.json";

export type Key = keyof typeof en;
export type Language = "en" | "de";

export const LANGUAGES: readonly Language[] = ["en", "de"];
const KEPT = "llamafund.language";

let words: Record<Key, string> = en;
let chosen: Language = "en";

export function language(): Language {
  return chosen;
}

/** The language that the reader chose here before, else the browser's first one that we have. */
export function preferred(): Language {
  const kept = kept_();
  const wanted = [...(kept ? [kept] : []), ...(navigator.languages ?? [])].map((tag) => tag.slice(0, 2));
  return LANGUAGES.find((one) => one === wanted.find((tag) => LANGUAGES.some((known) => known === tag))) ?? "en";
}

export async function speak(next: Language): Promise<void> {
  words = next === "de" ? (await import("./de.json")).default : en;
  chosen = next;
  document.documentElement.lang = next;
}

export function keepLanguage(next: Language): void {
  try {
    localStorage.setItem(KEPT, next);
  } catch {
    // A browser that keeps nothing asks again.
  }
}

/** A sentence with its values in place of the names in braces. */
export function t(key: Key, values: Record<string, string> = {}): string {
  const given: Record<string, string> = { project: PROJECT, ...values };
  return words[key].replace(/\{(\w+)\}/g, (place, name: string) => given[name] ?? place);
}

function kept_(): string | null {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}
