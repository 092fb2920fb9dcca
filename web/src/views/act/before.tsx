/** The last look before the wallet: what it costs at most, what the wallet will show, and the button. */

import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { coinOf } from "../../chain/assets";
import type { Campaign } from "../../chain/campaign";
import { money, when } from "../../look/numbers";
import { Button, Facts, Hash, Notice } from "../../look/parts";
import { type Entry, JournalTrouble } from "../../sending/journal";
import { NodeTrouble } from "../../sending/node";
import { AlreadyAsked, Moved, type Plan, send, standing as standingOf } from "../../sending/send";
import { session } from "../../wallet/here";
import { WalletError } from "../../wallet/provider";
import { type Key, t } from "../../words";
import type { Checked } from "./check";
import { WalletTrouble, walletName } from "./connect";
import type { Editing, FormProps } from "./fields";
import { nodeOf } from "./following";
import type { Offer } from "./offers";
import { permitMessage, permitTerms, signPermit } from "./permit";
import type { Wish } from "./plans";
import { titleOf } from "./transactions";

/** The signature that lets the campaign take exactly the amount. */
export function Signing({
  where,
  campaign,
  standing,
  connected,
  wish,
  change,
}: FormProps & { wish: Extract<Wish, { action: "pledge" }>; change: Editing["change"] }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>();
  const sign = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      const terms = await permitTerms(where, campaign, standing.account);
      if (!terms) throw new NodeTrouble("permit");
      const from = await standingOf(session, { account: standing.account, chain: campaign.chainId });
      const permit = await signPermit(from, permitMessage(campaign, standing.account, terms, wish.amount));
      if (!permit) throw new WalletError("invalid", undefined);
      change({ permit });
    } catch (error) {
      setProblem(error);
    } finally {
      setBusy(false);
    }
  };
  const rows: [string, ComponentChildren][] = [
    [t("act.shows.kind"), "Permit (EIP-2612)"],
    ["spender", <Hash key="spender" value={campaign.address} />],
    ["value", `${wish.amount}`],
  ];
  return (
    <>
      <Notice title={t("act.permit.title")}>
        <p>{t("act.permit.means", { amount: money(wish.amount, campaign.asset) })}</p>
        <Facts rows={rows} />
      </Notice>
      <Button onClick={() => void sign()} disabled={busy || connected.chain !== campaign.chainId}>
        {t(busy ? "act.waiting" : "act.permit.sign", { wallet: walletName(connected.wallet) })}
      </Button>
      <SendingTrouble error={problem} />
    </>
  );
}

export function Before(props: FormProps & { wish: Wish; checked: Checked | undefined; again: () => void }) {
  const { checked, again, campaign, connected, offer, standing, tracker, where, wish } = props;
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>();
  // A second click arrives before the button is drawn as disabled.
  const running = useRef(false);
  const ask = async (draft: Checked["draft"], gas: bigint, twice: boolean) => {
    if (running.current) return;
    running.current = true;
    setBusy(true);
    setProblem(undefined);
    try {
      const plan: Plan = {
        action: draft.step,
        campaign: campaign.address,
        account: standing.account,
        chain: campaign.chainId,
        call: draft.call,
        intent: draft.intent,
        shown: shownOf(wish, campaign, offer),
        gas: draft.together.length > 0 ? undefined : gas,
        ...(draft.together.length > 0 ? { together: draft.together } : {}),
      };
      await send(session, nodeOf(where), tracker.journal, plan, twice);
      void tracker.look();
      props.sent(draft.step);
    } catch (error) {
      setProblem(error);
    } finally {
      running.current = false;
      setBusy(false);
    }
  };
  if (!checked) return <p role="status">{t("act.trying")}</p>;
  if (checked.outcome === "unknown") {
    return (
      <Notice tone="care" title={t("act.unknown")}>
        <p>{t(checked.draft.together.length > 0 ? "act.unknown.batch" : "act.unknown.means")}</p>
        <Button onClick={again}>{t("again")}</Button>
      </Notice>
    );
  }
  if (checked.outcome === "foreign") {
    return (
      <Notice tone="bad" title={t("act.foreign")}>
        <p>{t("act.foreign.means")}</p>
      </Notice>
    );
  }
  if (checked.outcome === "refused") return <Refused checked={checked} />;
  if (checked.outcome === "short") {
    return (
      <Notice tone="care" title={t(`act.short.${checked.of}` as Key)}>
        <p>{t(`act.short.${checked.of}.means` as Key)}</p>
      </Notice>
    );
  }
  const { draft, cost } = checked;
  const right = connected.chain === campaign.chainId;
  return (
    <>
      {draft.step === "allow" && (
        <Notice title={t("act.allow.title")}>
          <p>{t("act.allow.means", shownOf(wish, campaign, offer))}</p>
        </Notice>
      )}
      {draft.step === "reset" && (
        <Notice title={t("act.reset.title")}>
          <p>{t("act.reset.means")}</p>
        </Notice>
      )}
      <Costs {...{ campaign, draft, cost }} />
      <Shows draft={draft} campaign={campaign} />
      {!right && <p>{t("act.wrongChain")}</p>}
      <Button disabled={busy || !right} onClick={() => void ask(draft, cost.gas, false)}>
        {t(busy ? "act.waiting" : "act.ask", { wallet: walletName(connected.wallet) })}
      </Button>
      <SendingTrouble error={problem} twice={() => void ask(draft, cost.gas, true)} />
    </>
  );
}

/** An action's values in words, kept with the transaction. */
function shownOf(wish: Wish, campaign: Campaign, offer: Offer): Record<string, string> {
  const coin = coinOf(campaign.chainId);
  switch (wish.action) {
    case "pledge":
    case "unpledge":
      return { amount: money(wish.amount, campaign.asset) };
    case "challenge":
      return { chunk: `${wish.chunk}`, amount: money(wish.bond, coin) };
    case "answer":
      return { chunk: `${wish.chunk}` };
    case "refund":
    case "claim":
      return { amount: money(offer.amount ?? 0n, campaign.asset) };
    case "bond":
      return { chunk: `${wish.chunk}`, amount: money(offer.amount ?? 0n, coin) };
    case "submit":
      return { milestone: `${wish.submission.statement.milestone}` };
    default:
      return {};
  }
}

function Refused({ checked }: { checked: Extract<Checked, { outcome: "refused" }> }) {
  const { name, what, why, remedy } = checked.refusal;
  return (
    <Notice tone="bad" title={t("act.refused")}>
      <div lang={what ? "en" : undefined}>
        {what && <p>{`${what}. ${why}.${remedy ? ` ${remedy}.` : ""}`}</p>}
        {!what && <p>{why || t("act.refused.silent")}</p>}
      </div>
      {name && <code>{name}</code>}
      <p>{t("act.refused.means")}</p>
    </Notice>
  );
}

function Costs({
  campaign,
  draft,
  cost,
}: {
  campaign: Campaign;
  draft: Checked["draft"];
  cost: Extract<Checked, { outcome: "works" }>["cost"];
}) {
  const coin = coinOf(campaign.chainId);
  const { value } = draft.call;
  const all = value + cost.fee + (cost.dataFee ?? 0n);
  const rows: [string, ComponentChildren][] = [
    ...(value > 0n ? [[t("act.cost.value"), money(value, coin)] as [string, ComponentChildren]] : []),
    [t("act.cost.fee"), money(cost.fee, coin)],
    ...(cost.dataFee === 0n
      ? []
      : [
          [t("act.cost.data"), cost.dataFee === undefined ? t("act.cost.untold") : money(cost.dataFee, coin)] as [
            string,
            ComponentChildren,
          ],
        ]),
    [t("act.cost.all"), <strong key="all">{money(all, coin)}</strong>],
  ];
  return (
    <>
      <h4>{t("act.cost")}</h4>
      <Facts rows={rows} />
      <p class="small soft">{t(draft.together.length > 0 ? "act.cost.batch" : "act.cost.means")}</p>
    </>
  );
}

/** The words that the wallet will show, to compare. */
function Shows({ draft, campaign }: { draft: Checked["draft"]; campaign: Campaign }) {
  const { name, args } = draft.shows;
  const rows: [string, ComponentChildren][] = [
    [t("act.shows.to"), <Hash key="to" value={draft.call.to} />],
    [t("act.shows.function"), <code key="name">{name}</code>],
    ...args.map(([key, value]): [string, ComponentChildren] => [key, <code key={key}>{value}</code>]),
    [t("act.shows.value"), money(draft.call.value, coinOf(campaign.chainId))],
  ];
  return (
    <details>
      <summary>{t("act.shows")}</summary>
      <p class="small">{t("act.shows.means")}</p>
      <Facts rows={rows} />
      {draft.together.length > 0 && <p>{t("act.shows.before")}</p>}
      <details>
        <summary>{t("act.shows.data")}</summary>
        <code class="hash">{draft.call.data.slice(0, 2_000)}</code>
      </details>
    </details>
  );
}

/** What went wrong on the way to the wallet, each kind with its own words. */
export function SendingTrouble({ error, twice }: { error: unknown; twice?: () => void }) {
  if (error === undefined) return null;
  if (error instanceof WalletError) return <WalletTrouble error={error} />;
  if (error instanceof AlreadyAsked) return <Twice entry={error.entry} {...(twice ? { twice } : {})} />;
  if (error instanceof Moved) {
    return (
      <Notice tone="care" title={t(`act.moved.${error.what}` as Key)}>
        <p>{t("act.moved.means")}</p>
      </Notice>
    );
  }
  if (error instanceof JournalTrouble) {
    return (
      <Notice tone="care" title={t("act.journal")}>
        <p>{t("act.journal.means")}</p>
      </Notice>
    );
  }
  return (
    <Notice tone="care" title={t("act.unknown")}>
      <p>{t("act.unknown.means")}</p>
    </Notice>
  );
}

function Twice({ entry, twice }: { entry: Entry; twice?: () => void }) {
  return (
    <Notice tone="care" title={t("act.twice", { what: titleOf(entry) })}>
      <p>{t("act.twice.means", { time: when(Math.floor(entry.at / 1000)) })}</p>
      {twice && (
        <Button quiet onClick={twice}>
          {t("act.twice.yes")}
        </Button>
      )}
    </Notice>
  );
}
