import { type Key, t } from "../words";

/** `payee 1` in the reader's language. */
export function roleName(role: string): string {
  const [name = "", place = ""] = role.split(" ");
  return t(`mine.role.${name}` as Key, { place });
}
