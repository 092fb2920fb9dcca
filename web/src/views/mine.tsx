/** What one account has in all campaigns of a chain, and what waits for it: the same as `llamafund mine`. */

import { useState } from "preact/hooks";
import type { Address } from "viem";
import { type Campaign, readCampaign } from "../chain/campaign";
import { listCampaigns } from "../chain/factory";
import { blockAt } from "../chain/read";
import { campaignsOf, rolesIn } from "../chain/roles";
import { type Trouble, troubleOf } from "../chain/trouble";
import { fetchManifest, proposalFrom } from "../evidence/manifests";
import { money } from "../look/numbers";
import { Button, Field, Hash, Loading, Notice, Problem, Section, StatusMark } from "../look/parts";
import { printable } from "../look/printable";
import { useReading } from "../look/reading";
import { roleName } from "../look/roles";
import { hashOf } from "../router";
import { useConnected } from "../wallet/here";
import type { Where } from "../where";
import { t } from "../words";
import { addressOf } from "./act/amounts";
import "./act/act.css";
import { Connect } from "./act/connect";
import { useTracker } from "./act/following";
import { type Offer, offersFor } from "./act/offers";
import { offerTimes, offerTitle } from "./act/panel";
import { readStanding, type Standing } from "./act/standing";
import { Transactions } from "./act/transactions";
import type { PageProps } from "./slots";

/** Most campaigns that are read for one account. */
const MOST = 50;

/** One account in one campaign. */
type Part = { campaign: Campaign; standing: Standing; roles: string[]; offers: Offer[] };

/** `unread`: campaigns that an account has to do with, but that could not be read. */
type Parts = { parts: Part[]; unread: [Address, Trouble][] };

async function readParts(where: Where, account: Address): Promise<Parts> {
  const { reader, chainId } = where;
  const block = await blockAt(reader, "latest");
  const created = await listCampaigns(reader, chainId, block);
  const involved = await campaignsOf(reader, created, account, block.number, ["Pledged", "Refunded"], ["Challenged"]);
  const mine = created.filter((one) => rolesIn(one, account).length > 0 || involved.has(one.campaign.toLowerCase()));
  const parts: Part[] = [];
  const unread: [Address, Trouble][] = [];
  for (const one of mine.slice(-MOST)) {
    try {
      const campaign = await readCampaign(reader, chainId, one.campaign);
      const standing = await readStanding(where, campaign, account);
      const roles = rolesIn(one, account);
      if (standing.bonds.length > 0) roles.unshift("challenger");
      if (standing.pledge > 0n || standing.refunded > 0n) roles.unshift("backer");
      const offers = offersFor(campaign, standing).filter((offer) => isMine(offer, standing));
      // A pledge that was taken back leaves nothing.
      if (roles.length > 0) parts.push({ campaign, standing, roles, offers });
    } catch (error) {
      unread.push([one.campaign, troubleOf(error)]);
    }
  }
  return { parts: parts.reverse(), unread };
}

/** Not what anybody could do in any campaign. */
function isMine(offer: Offer, { pledge }: Standing): boolean {
  if (offer.urgency !== "choice") return true;
  if (offer.action === "pledge") return false;
  return ["unpledge", "stop", "retract", "challenge"].includes(offer.action) ? pledge > 0n : offer.action === "contest";
}

export default function Mine({ where }: PageProps) {
  const connected = useConnected();
  const [named, setNamed] = useState("");
  const typed = addressOf(named);
  const account = "value" in typed ? typed.value : connected?.account;
  if (!where) return null;
  return (
    <>
      <h1>{t("mine.title")}</h1>
      <p>{t("mine.means")}</p>
      <Section title={t("mine.who")} id="mine-who">
        <Connect where={where} connected={connected} />
        <Field label={t("mine.other")} hint={t("mine.other.hint")} id="mine-account">
          <input
            id="mine-account"
            autocomplete="off"
            spellcheck={false}
            value={named}
            aria-invalid={named !== "" && !("value" in typed)}
            aria-describedby="mine-account-hint"
            onInput={(event) => setNamed(event.currentTarget.value)}
          />
        </Field>
      </Section>
      {account && <Account key={account} where={where} account={account} />}
    </>
  );
}

function Account({ where, account }: { where: Where; account: Address }) {
  const [reading, again] = useReading(`${where.chainId} ${where.reader.where} ${account}`, () =>
    readParts(where, account),
  );
  const tracker = useTracker(where, again);
  if (reading.state === "loading") return <Loading what={t("mine.reading")} lines={8} />;
  if (reading.state === "trouble") return <Problem trouble={reading.trouble} again={again} />;
  const { parts, unread } = reading.value;
  const waiting = parts.flatMap((part) =>
    part.offers.filter((offer) => offer.urgency !== "choice").map((offer) => ({ part, offer })),
  );
  return (
    <div data-account={account}>
      {reading.stale && <Problem trouble={reading.stale} again={again} />}
      <Section title={t("mine.waits")} id="mine-waits">
        {waiting.length === 0 && <p>{t("mine.waits.none")}</p>}
        <ul class="offers">
          {waiting.map(({ part, offer }) => (
            <li
              key={`${part.campaign.address} ${offer.action} ${offer.which}`}
              class={`offer offer-${offer.urgency}`}
              data-waits={offer.action}
            >
              <h3>{offerTitle(offer, part.campaign)}</h3>
              <p>
                <Title where={where} campaign={part.campaign} />
              </p>
              <p class="small soft">{offerTimes(offer, part.campaign.block.timestamp)}</p>
              <a href={placeOf(where, part.campaign.address)}>{t("mine.open")}</a>
            </li>
          ))}
        </ul>
      </Section>
      {unread.length > 0 && (
        <Notice tone="care" title={t("mine.unread")}>
          <ul>
            {unread.map(([address]) => (
              <li key={address}>
                <Hash value={address} chainId={where.chainId} kind="address" />
              </li>
            ))}
          </ul>
          <Button onClick={again}>{t("again")}</Button>
        </Notice>
      )}
      <Section title={t("mine.parts")} id="mine-parts">
        {parts.length === 0 && <p>{t("mine.parts.none")}</p>}
        <ul class="offers">
          {parts.map((part) => (
            <PartOf key={part.campaign.address} where={where} part={part} />
          ))}
        </ul>
      </Section>
      {tracker && <Transactions tracker={tracker} />}
    </div>
  );
}

function PartOf({ where, part }: { where: Where; part: Part }) {
  const { campaign, standing, roles, offers } = part;
  const { asset, address } = campaign;
  const choices = offers.filter((offer) => offer.urgency === "choice");
  return (
    <li class="offer" data-campaign={address}>
      <div class="row">
        <StatusMark status={campaign.state.status} />
        <a href={placeOf(where, address)} class="hash">
          <Title where={where} campaign={campaign} />
        </a>
      </div>
      <p>{t("mine.roles", { roles: roles.map(roleName).join(", ") })}</p>
      {standing.pledge > 0n && <p>{t("act.pledged", { amount: money(standing.pledge, asset) })}</p>}
      {standing.refunded > 0n && <p>{t("act.refunded", { amount: money(standing.refunded, asset) })}</p>}
      {standing.votes && <p>{t("mine.votes")}</p>}
      {choices.length > 0 && (
        <p class="small soft">{`${t("mine.can")} ${choices.map((offer) => offerTitle(offer, campaign)).join(" · ")}`}</p>
      )}
    </li>
  );
}

function placeOf(where: Where, campaign: Address): string {
  return hashOf(`${where.chainId}/${campaign}`, where.options);
}

/** What the proposal is called, and its address while that is not known. */
function Title({ where, campaign }: { where: Where; campaign: Campaign }) {
  const { proposal } = campaign.terms;
  const [found] = useReading(proposal, () => fetchManifest(proposal, where.gateways, proposalFrom));
  const manifest = found.state === "there" ? found.value : null;
  return <>{manifest?.outcome === "read" ? printable(manifest.value.title, 80) : campaign.address}</>;
}
