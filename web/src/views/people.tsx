import type { Address } from "viem";
import type { Campaign } from "../chain/campaign";
import { type History, readRecords } from "../chain/records";
import type { Proposal } from "../evidence/manifests";
import { duration, money, share } from "../look/numbers";
import { Person, Section } from "../look/parts";
import { printable } from "../look/printable";
import { type Reading, useReading } from "../look/reading";
import type { Where } from "../where";
import { t } from "../words";

/** Who takes part, what each promised, and what each did before. */
export function People({ where, campaign, proposal }: { where: Where; campaign: Campaign; proposal: Proposal | null }) {
  const { terms, chainId } = campaign;
  const [records] = useReading(campaign.block.hash, () => readRecords(where.reader, campaign));
  const named = [...(proposal ? [proposal.researcher, ...proposal.attestors] : [])];
  const nameOf = (address: string) => named.find((party) => party.address.toLowerCase() === address.toLowerCase());
  return (
    <Section id="people" title={t("people.title")}>
      <p class="soft small">{t("people.names")}</p>
      <h3>{t("people.researcher")}</h3>
      <Person address={terms.researcher} name={nameOf(terms.researcher)?.name} chainId={chainId} />
      <p>{t("people.researcher.can")}</p>
      <TrackRecord records={records} account={terms.researcher} as="researcher" />
      <h3>{t("people.attestors", { quorum: `${terms.quorum}`, attestors: `${terms.attestors.length}` })}</h3>
      <ul>
        {terms.attestors.map((address) => (
          <li key={address}>
            <Person address={address} name={nameOf(address)?.name} chainId={chainId} />
            {nameOf(address)?.promise && (
              <p>
                {t("people.promises")} “{printable(nameOf(address)?.promise ?? "", 2000)}”
              </p>
            )}
            <TrackRecord records={records} account={address} as="attestor" />
          </li>
        ))}
      </ul>
      <h3>{t("people.payees")}</h3>
      <ul>
        {terms.payees.map((payee, place) => (
          <li key={`${payee.account} ${payee.bps}`}>
            {share(payee.bps)} <Person address={payee.account} name={nameOf(payee.account)?.name} chainId={chainId} />
            <p class="small soft">
              {t("people.claimed", {
                claimed: money(campaign.state.claimed[place] ?? 0n, campaign.asset),
                claimable: money(campaign.state.claimable[place] ?? 0n, campaign.asset),
              })}
            </p>
          </li>
        ))}
      </ul>
      <h3>{t("people.arbiter")}</h3>
      {terms.arbiter ? (
        <>
          <Person address={terms.arbiter} chainId={chainId} />
          <p>{t("people.arbiter.can", { ruling: duration(terms.rulingWindow) })}</p>
        </>
      ) : (
        <p>{t("people.arbiter.none")}</p>
      )}
    </Section>
  );
}

/** What an account did before, on this chain; or that it is new, or that this could not be read. */
function TrackRecord({
  records,
  account,
  as,
}: {
  records: Reading<Map<Address, History[]>>;
  account: Address;
  as: History["role"];
}) {
  if (records.state === "loading") return <p class="small soft">{t("record.loading")}</p>;
  if (records.state === "trouble") return <p class="small soft">{t("record.unreadable")}</p>;
  const record = records.value.get(account)?.find((one) => one.role === as);
  if (record === undefined) return <p class="small soft">{t("record.unreadable")}</p>;
  if (record.campaigns <= 1 && record.kept === 0) return <p class="small soft">{t("record.new")}</p>;
  const values = Object.fromEntries(Object.entries(record).map(([name, value]) => [name, `${value}`]));
  return (
    <p class="small soft">
      {t(as === "researcher" ? "record.researcher" : "record.attestor", values)}
      {record.partly && ` ${t("record.partly")}`}
    </p>
  );
}
