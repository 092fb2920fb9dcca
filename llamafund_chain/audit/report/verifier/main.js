// The button on an audit's page. Everything is computed here, from what the page carries; nothing is asked of anybody.

import { secp256k1 } from "@noble/curves/secp256k1.js";
import { conclusion, reverify, shown } from "./items.js";

const WORDS = {
  holds: ["✓", "pass", "holds", "Everything that this page carries evidence for holds."],
  broken: ["✗", "fail", "does not hold", "Something here does not hold: do not rely on this page."],
  unknown: ["?", "unchecked", "could not be told", "What could be computed holds. Some things cannot be told from this page alone."],
};

function write(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function recover(hash, signature, parity) {
  return secp256k1.Signature.fromBytes(signature).addRecoveryBit(parity).recoverPublicKey(hash).toBytes(false);
}

function run() {
  const proof = document.querySelector("#proof");
  let items;
  try {
    const file = JSON.parse(document.querySelector("#report").textContent);
    items = [shown(document, file.report), ...reverify(file, recover)];
  } catch (error) {
    items = [{ item: "report", status: "broken", detail: `The report that this page carries cannot be read: ${error.message}` }];
  }
  const list = proof.querySelector("ul");
  list.replaceChildren(
    ...items.map((one) => {
      const [sign, look, words] = WORDS[one.status];
      const row = write("li", "check", "");
      Object.assign(row.dataset, { item: one.item, status: one.status });
      const glyph = write("span", `glyph ${look}`, sign);
      glyph.setAttribute("aria-hidden", "true");
      row.append(glyph, write("b", "", words), write("span", "", one.detail));
      return row;
    }),
  );
  const outcome = conclusion(items);
  proof.querySelector("[role=status]").textContent = WORDS[outcome][3];
  proof.dataset.outcome = outcome;
}

const button = document.querySelector("#verify");
button.hidden = false;
button.addEventListener("click", run);
// Where the style cannot open what is closed, for paper.
window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));
