// Headers by their hashes, and what the campaign stores by the state root (Yellow Paper, 4.4 and appendices B to D).

import { checkHash } from "../../../../web/src/proofs/header.ts";
import { entry, NO_ACCOUNT, part, Proofs, SLOTS } from "../../../../web/src/proofs/state.ts";
import { fromHex, keccak, padded, seconds, toHex, word } from "./bytes.js";

const item = (name, status, detail) => ({ item: name, status, detail });

/**
 * What the proofs show.
 * @param {object|null} book The events; null if they cannot be added up.
 * @param {object|null} books What follows from them at the report's time.
 * @param {string|null} blockHash Of the audited block, from elsewhere.
 */
export function proofItems(report, pack, terms, book, books, blockHash) {
  const { proofs } = report;
  if (!proofs) {
    return [item("chain", "unknown", `Whether block ${report.block} of ${report.chain} has these events: the report carries no proof of it`)];
  }
  let head;
  try {
    head = readHeader(proofs.head);
  } catch (error) {
    return [item("header", "broken", `The block's header makes no sense: ${error.message}`)];
  }
  const header = headItem(report, head);
  const items = [header, timesItem(pack, proofs)];
  if (header.status !== "holds") {
    return [...items, item("state", "unknown", "Without the block's header nothing can be proven from its state root")];
  }
  let words;
  try {
    words = provenWords(report, pack, proofs, head.stateRoot);
  } catch (error) {
    return [...items, item("state", "broken", `The proofs do not prove what they came with: ${error.message}`)];
  }
  items.push(item("state", "holds", `The code and ${words.size} stored words follow from the block's state root`));
  if (book) items.push(storedItem(terms, book, words, books));
  return [...items, chainItem(report, blockHash)];
}

function chainItem(report, blockHash) {
  if (blockHash === null) {
    return item("chain", "unknown", `That block ${report.block} of ${report.chain} has the hash 0x${report.block_hash}: compare it with a node or an explorer that you trust`);
  }
  return blockHash === report.block_hash
    ? item("chain", "holds", "The audited block has the hash that you gave")
    : item("chain", "broken", `The audited block has the hash 0x${report.block_hash}, not the one you gave`);
}

function readHeader(packed) {
  return {
    hash: packed.hash.replace(/^0x/, ""),
    check: checkHash(packed.hash, packed.fields, keccak),
    number: Number(BigInt(packed.fields.number)),
    time: BigInt(packed.fields.timestamp),
    stateRoot: packed.fields.stateRoot,
  };
}

function headItem(report, head) {
  if (head.hash !== report.block_hash || head.number !== report.block || head.time !== seconds(report.time)) {
    return item("header", "broken", "The header that the report carries is another block's");
  }
  if (head.check === "recomputed") return item("header", "holds", `The hash of block ${report.block} follows from its header`);
  return head.check === "different"
    ? item("header", "broken", `The hash of block ${report.block} does not follow from its header`)
    : item("header", "unknown", "The header has fields of its chain's own, so its hash cannot be recomputed");
}

function timesItem(pack, proofs) {
  const times = new Map();
  try {
    for (const packed of [proofs.head, ...proofs.headers]) {
      const header = readHeader(packed);
      if (header.check === "different") return item("times", "broken", `The hash of block ${header.number} does not follow from its header`);
      times.set(header.number, header.time);
    }
  } catch (error) {
    return item("times", "broken", `A header makes no sense: ${error.message}`);
  }
  const wrong = pack.times.find((one) => times.has(one.block) && times.get(one.block) !== BigInt(one.time));
  if (wrong) return item("times", "broken", `By its header, block ${wrong.block} was made at another time`);
  const missing = pack.times.find((one) => !times.has(one.block));
  if (missing) return item("times", "unknown", `The header of block ${missing.block} is not carried, so its time is not shown`);
  return item("times", "holds", `The times of ${pack.times.length} blocks are those in their headers`);
}

function provenWords(report, pack, proofs, stateRoot) {
  const state = new Proofs(keccak, proofs.nodes.map(fromHex));
  let campaign = null;
  for (const said of proofs.accounts) {
    const found = state.account(fromHex(stateRoot), fromHex(said.address)) ?? NO_ACCOUNT;
    const same = found.nonce === BigInt(said.nonce) && found.balance === BigInt(said.balance);
    if (!same || toHex(found.storageRoot) !== said.storage_root.slice(2) || toHex(found.codeHash) !== said.code_hash.slice(2)) {
      throw new Error(`The state has another account at ${said.address}`);
    }
    if (said.address.toLowerCase() === report.campaign.toLowerCase()) campaign = found;
  }
  if (!campaign) throw new Error("The campaign's account is not among them");
  if (toHex(campaign.codeHash) !== toHex(keccak(fromHex(pack.code)))) throw new Error("The state has other code at the campaign's address");
  const words = new Map();
  for (const one of proofs.words) {
    const slot = BigInt(one.slot);
    if (state.word(campaign.storageRoot, slot) !== BigInt(one.value)) throw new Error(`The state has another word as ${one.what}`);
    words.set(slot, BigInt(one.value));
  }
  return words;
}

function storedItem(terms, book, words, { pledgeOf, accounts: { pledged }, stopSupport }) {
  const wanted = [["the ledger", SLOTS.ledger, null], ["the votes", SLOTS.votes, stopSupport]];
  terms.payees.forEach((_, index) => wanted.push([`the claims of payee ${index}`, entry(word(index), SLOTS.claimed, keccak), book.claims.get(index) ?? 0n]));
  for (const backer of book.deposits.keys()) {
    wanted.push([`the pledge of ${backer}`, entry(padded(backer), SLOTS.backers, keccak), book.refunds.has(backer) ? 0n : pledgeOf(backer)]);
  }
  const missing = wanted.filter(([, slot]) => !words.has(slot));
  if (missing.length) return item("stored", "unknown", `Not proven: ${missing[0][0]}, and ${missing.length - 1} more`);
  const wrong = wanted.filter(([, slot, value]) => value !== null && part(words.get(slot), 0, 128) !== value).map(([what]) => what);
  const ledger = words.get(SLOTS.ledger);
  const same = part(ledger, 0, 128) === pledged && part(ledger, 240, 8) === BigInt(book.attested.length)
    && part(ledger, 208, 32) === book.slackUsed && (part(ledger, 248, 1) === 1n) === book.activated;
  if (!same) wrong.unshift("the ledger");
  return wrong.length
    ? item("stored", "broken", `The events do not add up to what the state has: ${wrong.slice(0, 4).join(", ")}`)
    : item("stored", "holds", `The events add up to the proven state: ${book.deposits.size} pledges, all claims, votes and attestations`);
}
