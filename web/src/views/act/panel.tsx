/** What a reader can do in a campaign, with the wallet that it has. */

import { lazy, Suspense } from "preact/compat";
import { useEffect, useState } from "preact/hooks";
import { coinOf } from "../../chain/assets";
import type { Campaign } from "../../chain/campaign";
import { fromNow, money, when } from "../../look/numbers";
import { Field, Notice, Problem, Section } from "../../look/parts";
import { useReading } from "../../look/reading";
import { useConnected } from "../../wallet/here";
import { isEverybodys } from "../../wallet/ofNode";
import type { Connected } from "../../wallet/session";
import type { Where } from "../../where";
import { type Key, t } from "../../words";
import type { PanelProps } from "../slots";
import "./act.css";
import { addressOf, amountOf } from "./amounts";
import { Connect } from "./connect";
import { useTracker } from "./following";
import { ActionForm } from "./form";
import { pledgeLink } from "./link";
import { type Offer, offersFor } from "./offers";
import { readStanding } from "./standing";
import { Transactions } from "./transactions";

export default function Act({ where, campaign, again }: PanelProps) {
  const connected = useConnected();
  const tracker = useTracker(where, again);
  return (
    <Section title={t("act.title")} id="act">
      <Connect where={where} connected={connected} />
      {!connected && <Unconnected campaign={campaign} />}
      {connected && tracker && <Doing key={connected.account} {...{ where, campaign, connected, tracker, again }} />}
      {tracker && <Transactions tracker={tracker} campaign={campaign.address} />}
    </Section>
  );
}

function Unconnected({ campaign }: { campaign: Campaign }) {
  const offers = offersFor(campaign, null);
  return (
    <>
      {campaign.state.status === "Failed" && (
        <Notice tone="care" title={t("act.failed.title")}>
          <p>{t("act.failed.means")}</p>
        </Notice>
      )}
      {offers.some((offer) => offer.action === "pledge") && <Phone campaign={campaign} />}
    </>
  );
}

type DoingProps = {
  where: Where;
  campaign: Campaign;
  connected: Connected;
  tracker: NonNullable<ReturnType<typeof useTracker>>;
  again: () => void;
};

function Doing(props: DoingProps) {
  const { where, campaign, connected, again } = props;
  const key = `${connected.account} ${campaign.address} ${campaign.block.hash}`;
  const [standing, retry] = useReading(key, () => readStanding(where, campaign, connected.account));
  const last = useLast(standing.state === "there" ? standing.value : undefined);
  const [open, setOpen] = useState<string>();
  if (isEverybodys(connected.account, campaign.chainId)) {
    return (
      <Notice tone="bad" title={t("act.known")}>
        <p>{t("act.known.means")}</p>
      </Notice>
    );
  }
  if (standing.state === "trouble" && !last) return <Problem trouble={standing.trouble} again={retry} />;
  if (!last) return <p role="status">{t("act.reading")}</p>;
  const offers = offersFor(campaign, last);
  return (
    <>
      {last.pledge > 0n && <p>{t("act.pledged", { amount: money(last.pledge, campaign.asset) })}</p>}
      {last.refunded > 0n && <p>{t("act.refunded", { amount: money(last.refunded, campaign.asset) })}</p>}
      {offers.length === 0 && <p>{t("act.nothing")}</p>}
      <ul class="offers">
        {offers.map((offer) => {
          const id = `${offer.action}-${offer.which}`;
          return (
            <li key={id} class={`offer offer-${offer.urgency}`} data-offer={offer.action}>
              <OfferHead
                {...{ campaign, offer }}
                open={open === id}
                toggle={() => setOpen(open === id ? undefined : id)}
              />
              {open === id && offer.action !== "attest" && (
                <ActionForm
                  {...props}
                  {...{ standing: last, offer }}
                  sent={(step) => {
                    if (step !== "allow" && step !== "reset") {
                      setOpen(undefined);
                      // The button that had the focus is gone: it goes to what became of it.
                      document.getElementById("transactions")?.focus();
                    }
                    again();
                  }}
                />
              )}
            </li>
          );
        })}
      </ul>
      {offers.some((offer) => offer.action === "pledge") && <Phone campaign={campaign} account={connected.account} />}
    </>
  );
}

/** What was last there: a view that is read again must not jump. */
function useLast<T>(value: T | undefined): T | undefined {
  const [last, setLast] = useState(value);
  useEffect(() => {
    if (value !== undefined) setLast(value);
  }, [value]);
  return value ?? last;
}

/** What an offer is about, in words. */
export function offerTitle(offer: Offer, campaign: Campaign): string {
  const asset = offer.action === "bond" ? coinOf(campaign.chainId) : campaign.asset;
  return t(`act.${offer.action}.what` as Key, {
    amount: offer.amount === null ? "" : money(offer.amount, asset),
    which: `${offer.which}`,
    kind: campaign.terms.milestones[Number(offer.which)]?.kind ?? "",
  });
}

/** From when and until when. */
export function offerTimes(offer: Offer, now: number): string {
  const times = [
    ...(offer.opens > now ? [t("act.opens", { time: when(offer.opens), far: fromNow(offer.opens, now) })] : []),
    ...(offer.until > 0 ? [t("act.until", { time: when(offer.until), far: fromNow(offer.until, now) })] : []),
  ];
  return times.join(" ");
}

function OfferHead({
  campaign,
  offer,
  open,
  toggle,
}: {
  campaign: Campaign;
  offer: Offer;
  open: boolean;
  toggle: () => void;
}) {
  const now = campaign.block.timestamp;
  const waits = offer.opens > now;
  const times = offerTimes(offer, now);
  return (
    <>
      <div class="row">
        <h3>{offerTitle(offer, campaign)}</h3>
        {offer.action !== "attest" && (
          <button
            type="button"
            class={open || (offer.urgency === "choice" && offer.action !== "pledge") ? "button quiet" : "button"}
            aria-expanded={open}
            disabled={waits}
            onClick={toggle}
          >
            {t(open ? "act.close" : (`act.${offer.action}.do` as Key))}
          </button>
        )}
      </div>
      {times && <p class="small soft">{times}</p>}
      {offer.action === "attest" && (
        <p>
          {t("act.attest.then")}{" "}
          <code>{`llamafund attest ${campaign.address} --milestone ${offer.which} --evidence HASH`}</code>
        </p>
      )}
    </>
  );
}

const QrCode = lazy(() => import("./qr"));

/** A pledge with a wallet on another device. */
function Phone({ campaign, account }: { campaign: Campaign; account?: string }) {
  const [amount, setAmount] = useState("");
  const [backer, setBacker] = useState(account ?? "");
  const [shown, setShown] = useState(false);
  if (!campaign.asset.native) return <p class="small soft">{t("act.phone.token")}</p>;
  const value = amountOf(amount, campaign.asset.decimals);
  const who = addressOf(backer);
  const link =
    "value" in value && "value" in who ? pledgeLink(campaign.address, campaign.chainId, who.value, value.value) : null;
  return (
    <details class="phone" onToggle={(event) => setShown(event.currentTarget.open)}>
      <summary>{t("act.phone")}</summary>
      <p>{t("act.phone.means")}</p>
      <Field label={t("act.field.amount", { unit: campaign.asset.symbol || t("unit.coin") })} id="phone-amount">
        <input
          id="phone-amount"
          inputMode="decimal"
          autocomplete="off"
          value={amount}
          onInput={(event) => setAmount(event.currentTarget.value)}
        />
      </Field>
      <Field label={t("act.phone.backer")} hint={t("act.phone.hint")} id="phone-backer">
        <input
          id="phone-backer"
          autocomplete="off"
          spellcheck={false}
          aria-describedby="phone-backer-hint"
          value={backer}
          onInput={(event) => setBacker(event.currentTarget.value)}
        />
      </Field>
      {shown && link && (
        <Suspense fallback={<p role="status">{t("act.reading")}</p>}>
          <QrCode text={link} label={t("act.phone.code")} />
          <p>
            <a href={link}>{t("act.phone.link")}</a>
          </p>
          <code class="hash">{link}</code>
        </Suspense>
      )}
    </details>
  );
}
