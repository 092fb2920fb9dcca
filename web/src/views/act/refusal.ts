/** Why a contract refused, in the sentences of the command line (`campaign/refusals.py`), found by the error's name. */

import { decodeErrorResult, getAddress, type Hex, isAddress } from "viem";
import { coinOf } from "../../chain/assets";
import { type Campaign, STATUSES } from "../../chain/campaign";
import { KINDS } from "../../chain/terms";
import { campaignAbi } from "../../generated/abi";
import refusals from "../../generated/refusals.json";
import { duration, fromNow, millionths, money, share, when } from "../../look/numbers";
import { printable } from "../../look/printable";
import { language } from "../../words";

/** `name` is the error's; empty if the contract gave none that we know. The sentences are English. */
export type Refusal = { name: string; what: string; why: string; remedy: string };

const SENTENCES = refusals.sentences as unknown as Record<string, readonly [string, string, string]>;
const WHEN = refusals.when as Record<string, string>;
const LONGEST = 300;

export function explain(data: Hex, campaign: Campaign, functionName: string): Refusal {
  let decoded: { errorName: string; args?: unknown };
  try {
    decoded = decodeErrorResult({ abi: campaignAbi, data }) as never;
  } catch {
    return { name: "", what: "", why: data === "0x" ? "" : printable(data, 140), remedy: "" };
  }
  const { errorName: name } = decoded;
  // `Error(string)` and `Panic(uint256)` are Solidity's own: the text is the token's, a stranger's.
  const values = named(name, decoded.args);
  const sentences = SENTENCES[name];
  if (!sentences) {
    const said = Object.values(values).map((one) => printable(String(one), LONGEST));
    return { name, what: "", why: said.join(", "), remedy: "" };
  }
  const [what, why, remedy] = sentences.map((sentence) => filled(sentence, values, campaign)) as [
    string,
    string,
    string,
  ];
  const phase = name === "Campaign_WrongStatus" ? WHEN[functionName] : undefined;
  // What names a command is for the command line.
  return { name, what, why: phase ?? why, remedy: /`|--/.test(remedy) ? "" : remedy };
}

function named(name: string, args: unknown): Record<string, unknown> {
  const list = Array.isArray(args) ? args : [];
  const error = campaignAbi.find((one) => one.type === "error" && one.name === name);
  const inputs = error?.type === "error" ? error.inputs : [];
  return Object.fromEntries(list.map((value, at) => [inputs[at]?.name || `${at}`, value]));
}

function filled(sentence: string, values: Record<string, unknown>, campaign: Campaign): string {
  return sentence.replace(/\{(\w+)(?::([\w ]+))?\}/g, (place, name: string, style: string | undefined) =>
    name in values ? styled(values[name], style ?? "", campaign) : place,
  );
}

function styled(value: unknown, style: string, campaign: Campaign): string {
  if (typeof value === "string" && isAddress(value, { strict: false })) return getAddress(value);
  if (style === "vote") return value ? "You have already voted to stop" : "You have no vote to retract";
  if (typeof value !== "bigint" && typeof value !== "number") return printable(String(value), LONGEST);
  const number = Number(value);
  const now = campaign.block.timestamp;
  switch (style.split(" ")[0]) {
    case "time":
      return when(number);
    case "from_now":
      return fromNow(number, now);
    case "duration":
      return duration(number);
    case "money":
      return money(BigInt(value), campaign.asset);
    case "coin":
      return money(BigInt(value), coinOf(campaign.chainId));
    case "score":
      return millionths(value);
    case "percent":
      return share(number);
    case "status":
      return STATUSES[number] ?? `${value}`;
    case "kind":
      return KINDS[number] ?? `${value}`;
    case "count":
      return `${new Intl.NumberFormat(language()).format(value)} ${style.slice(6)}${number === 1 ? "" : "s"}`;
    default:
      return `${value}`;
  }
}
