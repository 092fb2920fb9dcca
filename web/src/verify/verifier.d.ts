/** The checks that an audit's report carries for itself, and that this page shares with it. */
declare module "*/audit/report/verifier/items.js" {
  type Document = { readonly [name: string]: unknown };
  /** The public key of a signature, uncompressed. Throws an Error if there is none. */
  type Recover = (hash: Uint8Array, signature: Uint8Array, parity: number) => Uint8Array;
  export type Item = { item: string; status: "holds" | "broken" | "unknown"; detail: string };
  /** What `shown` asks of a document's elements. */
  export type Shown = {
    dataset: { of: string };
    textContent: string;
    closest(selector: string): { querySelector(selector: string): { textContent: string } | null } | null;
  };
  export function reverify(
    file: { report: Document; signature: Document | null },
    recover: Recover,
    blockHash?: string | null,
  ): Item[];
  export function conclusion(items: readonly Item[]): Item["status"];
  export function shown(page: { querySelectorAll(selector: string): Iterable<Shown> }, report: Document): Item;
}
