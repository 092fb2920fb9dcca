import { expect, test } from "vitest";
import de from "../../words/de.json";
import en from "../../words/en.json";
import { ACTIONS } from "./offers";

const CAUSES = [
  ...[
    "declined",
    "unauthorized",
    "unsupported",
    "disconnected",
    "wrongChain",
    "unknownChain",
    "busy",
    "invalid",
    "other",
  ],
];
const PHASES = [
  ...["asked", "looking", "declined", "pool", "missing", "replaced", "cancelled", "mined", "safe", "final", "reverted"],
  ...["failed", "undone", "undoneMissing", "behind", "unknown", "void"],
];

// These keys are put together where they are used, so the compiler cannot see them.
const KEYS = [
  ...ACTIONS.flatMap((one) => [`act.${one}.what`, `act.${one}.do`, `act.${one}.then`, `tx.action.${one}`]),
  ...["allow", "reset"].map((one) => `tx.action.${one}`),
  ...CAUSES.flatMap((one) => [`wallet.cause.${one}`, `wallet.cause.${one}.do`]),
  ...PHASES.flatMap((one) => [`tx.${one}`, `tx.${one}.means`]),
  ...["to", "from", "data", "value"].map((one) => `tx.differs.${one}`),
  ...["amount", "backer", "recipient", "chunk", "bond", "days", "ruling"].map((one) => `act.field.${one}`),
  ...["empty", "form", "digits", "zero", "address", "range"].map((one) => `act.wrong.${one}`),
  ...["permit", "approve", "batch"].map((one) => `act.means.${one}`),
  ...["large", "absent", "wrong", "malformed", "content"].map((one) => `act.answer.${one}`),
  ...["form", "campaign", "differs", "stranger"].map((one) => `act.file.${one}`),
  ...["account", "chain", "nothing"].map((one) => `act.moved.${one}`),
  ...["coin", "token"].flatMap((one) => [`act.short.${one}`, `act.short.${one}.means`]),
  ...["backer", "challenger", "researcher", "attestor", "payee", "arbiter"].map((one) => `mine.role.${one}`),
];

test.each([
  ["en", en],
  ["de", de],
] as const)("%s has every sentence", (_, words) => {
  expect(KEYS.filter((key) => !(key in words))).toEqual([]);
});
