import { useState } from "preact/hooks";
import { type Campaign, deadlineOf, windowEnd } from "../chain/campaign";
import { type EventOf, only } from "../chain/events";
import { floorOf } from "../chain/terms";
import { type Evidence, evidenceFrom, fetchManifest, type Manifest, type Proposal } from "../evidence/manifests";
import { bytes, decimal, millionths, share } from "../look/numbers";
import { Button, Facts, Hash, Notice, Prose, Section, Time } from "../look/parts";
import { printable } from "../look/printable";
import type { Where } from "../where";
import { t } from "../words";

export type MilestoneState =
  | "released"
  | "window"
  | "challenged"
  | "contested"
  | "withheld"
  | "next"
  | "later"
  | "missed";

/** Where a milestone stands. */
export function milestoneState({ terms, state, block }: Campaign, place: number): MilestoneState {
  const { attested, status, withheld } = state;
  if (place >= attested) {
    if (status === "Failed") return "missed";
    return place === attested && status === "Active" ? "next" : "later";
  }
  if (place < attested - 1) return "released";
  if (status === "Completed") return "released";
  if (status === "Failed") return withheld || state.challengedAt > 0 ? "withheld" : "released";
  if (state.challengedAt > 0) return "challenged";
  if (state.contested) return "contested";
  return block.timestamp < windowEnd(terms, state) ? "window" : "released";
}

const TONES: Partial<Record<MilestoneState, string>> = {
  released: "tag-good",
  window: "tag-care",
  challenged: "tag-bad",
  contested: "tag-bad",
  withheld: "tag-bad",
  missed: "tag-bad",
  next: "tag-care",
};

export function Milestones({
  where,
  campaign,
  proposal,
}: {
  where: Where;
  campaign: Campaign;
  proposal: Proposal | null;
}) {
  const { terms, state, block, events, chainId } = campaign;
  const attestations = only(events, "MilestoneAttested");
  return (
    <Section id="milestones" title={t("milestones.title")}>
      <p>{t("milestones.lead")}</p>
      <ol class="milestones">
        {terms.milestones.map((milestone, place) => {
          const stands = milestoneState(campaign, place);
          const promise = proposal?.milestones[place];
          const least = floorOf(milestone);
          const attestation = attestations.find((event) => event.args.milestone === place);
          return (
            <li key={`${milestone.kind} ${milestone.deadline}`}>
              <h3>
                {place + 1}. {promise ? printable(promise.title, 300) : t(`kind.${milestone.kind}`)}
              </h3>
              <p class="row">
                <span class={`tag ${TONES[stands] ?? ""}`}>{t(`milestone.${stands}`)}</span>
                <span>{t(`kind.${milestone.kind}`)}</span>
                <strong>{t("milestone.pays", { share: share(milestone.bps) })}</strong>
              </p>
              {promise && <Prose text={promise.description} />}
              <p class="small soft">
                {t("milestone.due")} <Time at={deadlineOf(terms, state, place)} now={block.timestamp} />
                {least !== null && ` · ${t("milestone.floor", { score: millionths(least) })}`}
              </p>
              {attestation && (
                <Attested where={where} event={attestation} quorum={terms.attestors.length} chainId={chainId} />
              )}
              {stands === "window" && (
                <p>
                  {t("milestone.windowEnds")} <Time at={windowEnd(terms, state)} now={block.timestamp} />
                </p>
              )}
            </li>
          );
        })}
      </ol>
    </Section>
  );
}

function Attested({
  where,
  event,
  quorum,
  chainId,
}: {
  where: Where;
  event: EventOf<"MilestoneAttested">;
  quorum: number;
  chainId: number;
}) {
  const { attestation, signers } = event.args;
  const signed = Array.from({ length: quorum }, (_, place) => place).filter((place) => (signers >> BigInt(place)) & 1n);
  const hash = attestation.evidence.slice(2);
  return (
    <details>
      <summary>{t("milestone.evidence")}</summary>
      <Facts
        rows={[
          [
            t("milestone.signed"),
            signed.map((place) => t("milestone.attestor", { number: `${place + 1}` })).join(", "),
          ],
          [t("milestone.score"), millionths(attestation.score)],
          [
            t("milestone.content"),
            attestation.contentSize === 0n ? t("milestone.noContent") : bytes(Number(attestation.contentSize)),
          ],
          [t("milestone.evidenceHash"), <Hash key="e" value={hash} />],
          [t("milestone.root"), <Hash key="r" value={attestation.contentRoot.slice(2)} />],
          [t("milestone.transaction"), <Hash key="t" value={event.log.transactionHash} chainId={chainId} kind="tx" />],
        ]}
      />
      <EvidenceOf where={where} hash={hash} root={attestation.contentRoot.slice(2)} size={attestation.contentSize} />
    </details>
  );
}

/** Fetches the evidence's manifest on request, and compares it with what was attested. */
function EvidenceOf({ where, hash, root, size }: { where: Where; hash: string; root: string; size: bigint }) {
  const [found, setFound] = useState<Manifest<Evidence> | "loading" | null>(null);
  const fetchIt = () => {
    setFound("loading");
    void fetchManifest(hash, where.gateways, evidenceFrom).then(setFound);
  };
  if (found === null || found === "loading") {
    return (
      <Button quiet onClick={fetchIt} disabled={found === "loading"}>
        {t("milestone.fetch")}
      </Button>
    );
  }
  if (found.outcome !== "read") {
    return (
      <Notice tone={found.outcome === "absent" ? "care" : "bad"} title={t(`evidence.${found.outcome}`)}>
        <Button quiet onClick={fetchIt}>
          {t("again")}
        </Button>
      </Notice>
    );
  }
  const { value } = found;
  const matches = size === 0n || (value.content.root === root && BigInt(value.content.size) === size);
  return (
    <>
      <Notice tone={matches ? "good" : "bad"} title={t(matches ? "evidence.matches" : "evidence.differs")} />
      <Facts
        rows={[
          [t("evidence.files"), decimal(`${value.files}`)],
          [t("evidence.size"), bytes(value.content.size)],
          ...(value.license ? [[t("evidence.license"), printable(value.license, 100)] as const] : []),
          ...(value.steps ? [[t("evidence.steps"), `${value.steps.first} – ${value.steps.last}`] as const] : []),
          ...value.metrics.map(([name, number]) => [printable(name, 60), millionths(number)] as const),
        ]}
      />
    </>
  );
}
