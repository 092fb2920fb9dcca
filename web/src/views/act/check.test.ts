import { encodeErrorResult, type Hex } from "viem";
import { expect, test, vi } from "vitest";
import type { Campaign } from "../../chain/campaign";
import { campaignAbi } from "../../generated/abi";
import type { Where } from "../../where";
import { check } from "./check";
import type { Wish } from "./plans";
import type { Standing } from "./standing";

const genuine = vi.hoisted(() => ({ is: true as boolean | undefined }));
vi.mock("./genuine", () => ({ hasItsCode: async () => genuine.is }));

const ME = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const TOKEN = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const CAMPAIGN = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
const APPROVE = "0x095ea7b3";

const campaign = {
  chainId: 31337,
  address: CAMPAIGN,
  terms: { asset: TOKEN },
  asset: { address: TOKEN, native: false, symbol: "T", decimals: 0 },
  block: { number: 1, hash: "0x", timestamp: 1, baseFee: 1n },
} as unknown as Campaign;
const standing = {
  account: ME,
  isContract: false,
  coin: 9n,
  token: { balance: 100n, allowance: 5n },
} as unknown as Standing;
const pledge: Wish = { action: "pledge", amount: 10n, backer: ME, means: "approve", permit: null };

type Answers = { balance?: Hex; call?: (data: Hex) => Hex };

/** A node, whose calls answer as `call` says. */
function where({ balance = "0xffffffff", call = () => "0x" }: Answers): Where {
  const answers: Record<string, (params: unknown[]) => unknown> = {
    eth_getCode: () => "0x",
    eth_getBalance: () => balance,
    eth_call: ([request]) => call((request as { data: Hex }).data),
    eth_estimateGas: () => "0x64",
    eth_maxPriorityFeePerGas: () => "0x1",
    eth_getBlockByNumber: () => ({
      number: "0x1",
      hash: `0x${"33".repeat(32)}`,
      timestamp: "0x1",
      baseFeePerGas: "0x1",
    }),
  };
  const request = async ({ method, params }: { method: string; params: unknown[] }) => answers[method]?.(params);
  return { chainId: 31337, reader: { client: { request }, where: "here" } } as unknown as Where;
}

/** A revert with this data, as nodes answer it. */
function refuses(data: Hex): never {
  throw Object.assign(new Error(), { code: 3, data });
}

test.each([
  [false, "foreign"],
  [undefined, "unknown"],
] as const)("code that is the campaign's: %s", async (is, outcome) => {
  genuine.is = is;
  expect((await check(where({}), campaign, standing, pledge)).outcome).toBe(outcome);
  genuine.is = true;
});

test("an approval that only works from zero is set to zero first", async () => {
  const strict = where({
    call: (data) => (data.startsWith(APPROVE) && BigInt(`0x${data.slice(-64)}`) > 0n ? refuses("0x") : "0x"),
  });
  expect(await check(strict, campaign, standing, pledge)).toMatchObject({ outcome: "works", draft: { step: "reset" } });
  expect(await check(where({}), campaign, standing, pledge)).toMatchObject({
    outcome: "works",
    draft: { step: "allow" },
  });
});

test("too few tokens or coins, fees counted, are said instead of tried", async () => {
  const much: Wish = { ...pledge, amount: 101n };
  expect(await check(where({}), campaign, standing, much)).toMatchObject({ outcome: "short", of: "token" });
  expect(await check(where({ balance: "0x1" }), campaign, standing, pledge)).toMatchObject({
    outcome: "short",
    of: "coin",
  });
});

test("a refusal comes with its name and sentence", async () => {
  const data = encodeErrorResult({ abi: campaignAbi, errorName: "Campaign_VotingClosed" });
  const closed = where({ call: () => refuses(data) });
  const found = await check(closed, campaign, standing, { action: "stop" });
  expect(found).toMatchObject({
    outcome: "refused",
    refusal: { name: "Campaign_VotingClosed", what: "Voting is closed" },
  });
});

test("a node that fails otherwise leaves it open", async () => {
  const broken = where({
    call: () => {
      throw Object.assign(new Error("execution reverted"), { code: -32000 });
    },
  });
  expect((await check(broken, campaign, standing, { action: "stop" })).outcome).toBe("unknown");
});
