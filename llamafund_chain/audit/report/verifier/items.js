// What is checked, item by item, with the outcomes of `llamafund audit verify-report`.

import { amount, canonical, fromHex, rounded, seconds, sha256Of, visible } from "./bytes.js";
import { addressOf, termsIn } from "./terms.js";
import { backerAt, booksAt, milestonesAt, sameMilestone, storyOf } from "./ledger.js";
import { proofItems } from "./proofs.js";
import { attestationDigest, reportDigest, signerOf } from "./signatures.js";

const item = (name, status, detail) => ({ item: name, status, detail });
const same = (one, other) => String(one).toLowerCase() === String(other).toLowerCase();
const NO_HASH = "0".repeat(64);
const NATIVE = `0x${"0".repeat(40)}`;

/**
 * All items about a report.
 * @param {{report: object, signature: object|null}} file
 * @param {Function} recover Gives the key of a signature; see `signerOf`.
 * @param {string|null} blockHash Of the audited block, from elsewhere, 64 digits; null if the reader has none.
 */
export function reverify(file, recover, blockHash = null) {
  const { report } = file;
  const items = [verdict(report)];
  const pack = report.evidence;
  if (!pack) return [...items, item("evidence", "unknown", "The report carries no evidence to compute anything from"), ...signed(file, recover)];
  let terms;
  try {
    terms = termsIn(fromHex(pack.code));
  } catch (error) {
    return [...items, item("address", "broken", `The code that the report carries is no campaign's: ${error.message}`)];
  }
  items.push(address(report, pack), toldTerms(report, terms));
  let book = null;
  if (!pack.logs.length && pack.left_out.length) {
    items.push(item("books", "unknown", "The report does not carry the events, so nothing can be added up"));
  } else {
    try {
      book = storyOf(pack, terms);
      items.push(...books(report, pack, book));
    } catch (error) {
      items.push(item("books", "broken", `The events that the report carries cannot be added up: ${error.message}`));
    }
  }
  items.push(...manifests(report, pack, terms));
  if (book) items.push(...signatures(report, book, terms, recover));
  for (const words of pack.left_out) items.push(item("left-out", "unknown", `The report does not carry all: ${words}`));
  const found = book && booksAt(book, seconds(report.time));
  items.push(...proofItems(report, pack, terms, book, found, blockHash));
  return [...items, ...signed(file, recover)];
}

export function conclusion(items) {
  const found = new Set(items.map((one) => one.status));
  return found.has("broken") ? "broken" : found.has("unknown") ? "unknown" : "holds";
}

function verdict(report) {
  const counts = { pass: "passed", warn: "warned", fail: "failed", unchecked: "unchecked" };
  const counted = Object.entries(counts).every(
    ([status, name]) => report.checks.filter((one) => one.status === status).length === report.verdict[name],
  );
  const undecided = report.checks.some((one) => one.status === "unchecked" && one.group !== "risks");
  const contradicted = report.checks.some((one) => one.contradiction);
  const judged = report.checks.some((one) => one.status === "fail") ? "fails" : undecided ? "unchecked" : "holds";
  const outcome = contradicted ? "contradicted" : judged;
  return counted && outcome === report.verdict.outcome
    ? item("verdict", "holds", `The verdict follows from the ${report.checks.length} checks listed`)
    : item("verdict", "broken", "The verdict does not follow from the checks that the report lists");
}

function address(report, pack) {
  const expected = addressOf(pack.factory, pack.salt, fromHex(pack.code));
  return same(expected, report.campaign)
    ? item("address", "holds", `The campaign's address follows from its terms and the factory ${pack.factory}`)
    : item("address", "broken", `From these terms follows the address ${expected}, not ${report.campaign}`);
}

function toldTerms(report, terms) {
  const { facts, money } = report;
  if (!facts || !money) return item("terms", "unknown", "The report says nothing about the campaign");
  const written = (units) => amount(units, facts.asset.decimals);
  const compared = {
    researcher: same(facts.researcher.address, terms.researcher),
    attestors: same(facts.attestors.map((one) => one.address), terms.attestors),
    quorum: facts.quorum === terms.quorum,
    goal: facts.goal === written(terms.goal),
    cap: facts.cap === written(terms.cap),
    stop: BigInt(facts.stop_bps) === terms.stopBps,
    "challenge window": BigInt(facts.challenge_window) === terms.challengeWindow,
    "funding deadline": seconds(facts.funding_deadline) === terms.fundingDeadline,
    proposal: facts.proposal === terms.proposal,
    dataset: (facts.dataset ?? NO_HASH) === terms.dataset,
    asset: same(facts.asset.address ?? NATIVE, terms.asset),
    payees: same(money.payees.map((one) => [one.account.address, one.bps]), terms.payees.map((one) => [one.account, one.bps])),
    arbiter: same(facts.arbiter?.person.address ?? null, terms.arbiter),
  };
  const wrong = Object.keys(compared).filter((name) => !compared[name]);
  return wrong.length
    ? item("terms", "broken", `The campaign's code says something else about: ${wrong.join(", ")}`)
    : item("terms", "holds", "People, shares and deadlines are those in the campaign's code");
}

function books(report, pack, book) {
  if (!report.money || !report.facts) return [item("books", "unknown", "The report has no books")];
  const written = (units) => amount(units, report.facts.asset.decimals);
  const found = booksAt(book, seconds(report.time));
  const said = report.money.events;
  const wrong = Object.keys(found.accounts).filter((name) => written(found.accounts[name]) !== said[name]);
  if (found.status !== report.facts.status) wrong.push("status");
  if (written(found.stopSupport) !== report.facts.stop_support) wrong.push("stop support");
  const items = [
    wrong.length
      ? item("books", "broken", `From the events follows something else for: ${wrong.join(", ")}`)
      : item("books", "holds", `${pack.logs.length} events add up to the reported books, to the last unit`),
  ];
  const milestones = milestonesAt(book, found);
  const others = milestones.filter((one, index) => !report.milestones[index] || !sameMilestone(one, report.milestones[index], written));
  const wholeList = milestones.length === report.milestones.length;
  items.push(
    others.length || !wholeList
      ? item("milestones", "broken", `From the events follows something else for the milestones: ${others.map((one) => one.index).join(", ") || "their number"}`)
      : item("milestones", "holds", "Tranches, deadlines, attestations and states follow from the events"),
  );
  if (report.backer) {
    const mine = backerAt(book, found, report.backer.address.toLowerCase());
    const differing = Object.keys(mine.amounts).filter((name) => written(mine.amounts[name]) !== report.backer[name]);
    if (mine.share !== BigInt(report.backer.share)) differing.push("share");
    items.push(
      differing.length
        ? item("backer", "broken", `From the events follows something else for: ${differing.join(", ")}`)
        : item("backer", "holds", `The events give ${report.backer.address} what the report says`),
    );
  }
  return items;
}

function manifests(report, pack, terms) {
  const carried = new Map(pack.manifests.map((one) => [one.sha256, one.text]));
  const items = [];
  for (const [hash, text] of carried) {
    if (sha256Of(text) !== hash) items.push(item(`manifest-${hash.slice(0, 12)}`, "broken", `The manifest's bytes do not hash to ${hash}`));
  }
  const named = new Map([[terms.proposal, "the proposal"]]);
  for (const one of report.milestones) {
    if (one.attested && !named.has(one.attested.evidence)) named.set(one.attested.evidence, `the evidence of milestone ${one.index}`);
  }
  for (const [hash, what] of named) {
    const name = `manifest-${hash.slice(0, 12)}`;
    if (!carried.has(hash)) items.push(item(name, "unknown", `The report does not carry the manifest of ${what}`));
    else if (sha256Of(carried.get(hash)) === hash) items.push(item(name, "holds", `The manifest of ${what} has the hash that the chain names`));
  }
  return items;
}

function signatures(report, book, terms, recover) {
  const chainId = BigInt(report.chain.replace("eip155:", ""));
  const items = [];
  report.milestones.forEach((said, index) => {
    const real = book.attested[index];
    if (!said.attested || !real) return;
    const hash = attestationDigest(chainId, report.campaign, real.statement);
    const { signers } = said.attested;
    const bits = signers.reduce((total, one) => total | (1n << BigInt(one.index)), 0n);
    if (signers.length && bits !== real.signers) {
      items.push(item(`signature-${index}`, "broken", `The event of milestone ${index} names other signers than the report`));
    }
    for (const signer of signers) items.push(signature(index, signer, hash, terms, recover));
  });
  return items;
}

function signature(milestone, signer, hash, terms, recover) {
  const name = `signature-${milestone}-${signer.index}`;
  const who = `attestor ${signer.index} on milestone ${milestone}`;
  const { address: said } = signer.person;
  if (!same(terms.attestors[signer.index], said)) return item(name, "broken", `The terms name somebody else as attestor ${signer.index}`);
  if (!signer.signature) return item(name, "unknown", `The report does not carry the signature of ${who}`);
  const found = signerOf(hash, signer.signature, recover);
  if (found === null) return item(name, "unknown", `The signature of ${who} is not a key's; only that attestor's wallet contract could say`);
  return same(found, said)
    ? item(name, "holds", `The signature of ${who} is that of ${said}`)
    : item(name, "broken", `The signature of ${who} is by ${found}, or for another attestation`);
}

/** Whether the auditor who is named has signed this very report. */
function signed({ report, signature: given }, recover) {
  if (!given) return [];
  const hash = sha256Of(canonical(report));
  const found = signerOf(reportDigest(BigInt(report.chain.replace("eip155:", "")), report, hash), given.signature, recover);
  if (found === null) return [item("auditor", "unknown", `The auditor's signature is not a key's; only the wallet contract ${given.auditor} could say`)];
  return [
    same(found, given.auditor)
      ? item("auditor", "holds", `${given.auditor} has signed this report, as it is here`)
      : item("auditor", "broken", `The auditor's signature is by ${found}, or for another report, not by ${given.auditor}`),
  ];
}

/** Whether a page shows what its report says. @param {Document} page */
export function shown(page, report) {
  const wrong = [];
  for (const one of page.querySelectorAll("[data-of]")) {
    const path = one.dataset.of;
    const value = path.split(".").reduce((at, name) => at?.[name], report);
    const opened = one.closest(".exact");
    const fits = one.textContent === visible(String(value ?? "—"));
    const summary = opened?.querySelector("summary");
    if (!fits || (summary && summary.textContent !== rounded(String(value)))) wrong.push(path);
  }
  return wrong.length
    ? item("page", "broken", `The page shows something else than its report for: ${wrong.slice(0, 8).join(", ")}`)
    : item("page", "holds", "The page shows the verdict and the amounts of its report");
}
