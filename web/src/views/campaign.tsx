import { type ComponentType, createElement } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Address } from "viem";
import { type Campaign, deadlineOf, failureOf, nextDeadline, readCampaign } from "../chain/campaign";
import { fetchManifest, type Manifest, type Proposal, proposalFrom } from "../evidence/manifests";
import { duration, millionths, money, percent, share } from "../look/numbers";
import {
  Amount,
  Facts,
  Hash,
  Loading,
  Notice,
  Origin,
  Problem,
  Prose,
  Section,
  StatusMark,
  Time,
  Title,
} from "../look/parts";
import { printable } from "../look/printable";
import { useReading } from "../look/reading";
import { hashOf } from "../router";
import type { Where } from "../where";
import { t } from "../words";
import { Milestones } from "./milestones";
import { People } from "./people";
import { Risks } from "./risks";
import { PANELS, type PanelProps } from "./slots";
import { Updates } from "./updates";

export function CampaignView({ where, address }: { where: Where; address: Address }) {
  const [reading, again] = useReading(address, () => readCampaign(where.reader, where.chainId, address));
  if (reading.state === "loading") return <Loading what={t("loading.campaign")} lines={12} />;
  if (reading.state === "trouble") {
    return (
      <>
        <Title text={t("campaign.title")} />
        <Hash value={address} />
        <Problem trouble={reading.trouble} again={again} />
      </>
    );
  }
  return (
    <>
      {reading.stale && <Problem trouble={reading.stale} again={again} />}
      <Whole where={where} campaign={reading.value} again={again} />
    </>
  );
}

function Whole({ where, campaign, again }: { where: Where; campaign: Campaign; again: () => void }) {
  const { terms } = campaign;
  const [found, retry] = useReading(terms.proposal, () => fetchManifest(terms.proposal, where.gateways, proposalFrom));
  const manifest: Manifest<Proposal> | null = found.state === "there" ? found.value : null;
  const proposal = manifest?.outcome === "read" ? manifest.value : null;
  return (
    <>
      <Title text={proposal ? printable(proposal.title, 300) : t("campaign.title")} />
      <p class="row">
        <StatusMark status={campaign.state.status} />
        <Hash value={campaign.address} chainId={campaign.chainId} kind="address" />
      </p>
      <Money campaign={campaign} />
      <RiskSentence campaign={campaign} />
      <p>
        <a href={hashOf(`${campaign.chainId}/${campaign.address}/verify`, where.options)}>{t("verify.link")}</a> ·{" "}
        <a href={hashOf(`${campaign.chainId}/${campaign.address}/reviews`, where.options)}>{t("reviews.link")}</a>
      </p>
      <Panels where={where} campaign={campaign} proposal={proposal} again={again} />
      <ProposalCard where={where} manifest={manifest} campaign={campaign} retry={retry} />
      <Milestones where={where} campaign={campaign} proposal={proposal} />
      <Updates where={where} campaign={campaign} />
      <People where={where} campaign={campaign} proposal={proposal} />
      <Risks where={where} campaign={campaign} manifest={manifest} />
      <Rules campaign={campaign} />
      <Origin block={campaign.block} where={where.reader.where} again={again} />
    </>
  );
}

function Money({ campaign }: { campaign: Campaign }) {
  const { terms, state, asset, block } = campaign;
  const reached = percent(state.pledged, terms.goal);
  const next = nextDeadline(terms, state, block.timestamp);
  const cause = failureOf(terms, state);
  const pledged = { pledged: money(state.pledged, asset), goal: money(terms.goal, asset), percent: `${reached}` };
  return (
    <section class="card" aria-label={t("campaign.money")}>
      <progress max={100} value={Math.min(reached, 100)} aria-label={t("list.reached", { percent: `${reached}` })} />
      <p>{t("list.pledged", pledged)}</p>
      <Facts
        rows={[
          [t("campaign.released"), <Amount key="r" value={state.released} asset={asset} />],
          [t("campaign.cap"), <Amount key="c" value={terms.cap} asset={asset} />],
          ...(next ? [[t(`deadline.${next.what}`), <Time key="n" at={next.at} now={block.timestamp} />] as const] : []),
          ...(cause ? [[t("campaign.failed"), t(`cause.${cause}`)] as const] : []),
          ...(asset.native
            ? []
            : [
                [
                  t("campaign.token"),
                  <Hash key="t" value={asset.address} chainId={campaign.chainId} kind="address" />,
                ] as const,
              ]),
        ]}
      />
      {!asset.native && <p class="small soft">{t("campaign.token.hint")}</p>}
    </section>
  );
}

/** The risk in one sentence: who can take how much of my money, when, on whose word. */
function RiskSentence({ campaign }: { campaign: Campaign }) {
  const { terms } = campaign;
  const first = terms.milestones[0];
  const values = {
    quorum: `${terms.quorum}`,
    attestors: `${terms.attestors.length}`,
    payees: `${terms.payees.length}`,
    first: share(first?.bps ?? 0),
    window: duration(terms.challengeWindow),
    stop: share(terms.stopBps),
    last: share(terms.milestones.at(-1)?.bps ?? 0),
    ruling: duration(terms.rulingWindow),
  };
  return (
    <Notice tone="care" title={t("risk.sentence.title")}>
      <p id="risk-sentence">
        {t("risk.sentence", values)} {terms.arbiter ? t("risk.sentence.arbiter", values) : t("risk.sentence.noArbiter")}
      </p>
    </Notice>
  );
}

function Panels(props: PanelProps) {
  const [panels, setPanels] = useState<Record<string, ComponentType<PanelProps> | null>>({});
  useEffect(() => {
    for (const [name, load] of Object.entries(PANELS)) {
      load()
        .then((module) => setPanels((before) => ({ ...before, [name]: module.default })))
        .catch(() => setPanels((before) => ({ ...before, [name]: null })));
    }
  }, []);
  return (
    <>
      {Object.keys(PANELS).map((name) => {
        const panel = panels[name];
        if (panel === undefined) return <Loading key={name} what={t("loading.part")} lines={4} />;
        if (panel === null) return <Notice key={name} tone="care" title={t("trouble.part")} />;
        return createElement(panel, { key: name, ...props });
      })}
    </>
  );
}

function ProposalCard({
  where,
  manifest,
  campaign,
  retry,
}: {
  where: Where;
  manifest: Manifest<Proposal> | null;
  campaign: Campaign;
  retry: () => void;
}) {
  return (
    <Section id="proposal" title={t("proposal.title")}>
      {manifest === null && <Loading what={t("loading.proposal")} lines={8} />}
      {manifest !== null && manifest.outcome !== "read" && (
        <Notice tone={manifest.outcome === "absent" ? "care" : "bad"} title={t(`proposal.${manifest.outcome}`)}>
          <p>{t(`proposal.${manifest.outcome}.do`)}</p>
          {"fetched" in manifest && (
            <p class="small">
              {t("proposal.asked", { gateways: where.gateways.map((one) => printable(one, 80)).join(", ") })}
            </p>
          )}
          <button type="button" class="button quiet" onClick={retry}>
            {t("again")}
          </button>
        </Notice>
      )}
      {manifest?.outcome === "read" && <ProposalText proposal={manifest.value} from={manifest.from} />}
      <Facts rows={[[t("proposal.hash"), <Hash key="h" value={campaign.terms.proposal.slice(2)} />]]} />
    </Section>
  );
}

function ProposalText({ proposal, from }: { proposal: Proposal; from: string }) {
  const { outcome, dataset } = proposal;
  const direction = t(outcome.direction === "lower" ? "proposal.lower" : "proposal.higher");
  return (
    <>
      <Prose text={proposal.summary} />
      <h3>{t("proposal.objectives")}</h3>
      <ul>
        {proposal.objectives.map((one) => (
          <li key={one}>{printable(one, 2000)}</li>
        ))}
      </ul>
      <h3>{t("proposal.outcome")}</h3>
      <p>
        <strong>
          {printable(outcome.metric, 100)}: {millionths(outcome.target)}
        </strong>{" "}
        ({direction})
      </p>
      <Prose text={outcome.evaluation} />
      {outcome.metric === "heldout_bits_per_byte" && <p class="soft">{t("proposal.baselines")}</p>}
      <h3>{t("proposal.dataset")}</h3>
      <Prose text={dataset.description} />
      <Facts
        rows={[
          [t("proposal.sources"), dataset.sources.map((one) => printable(one, 500)).join("; ")],
          [t("proposal.dataLicense"), printable(dataset.license, 100)],
          [
            t("proposal.datasetHash"),
            dataset.manifest ? <Hash key="d" value={dataset.manifest} /> : t("proposal.datasetOpen"),
          ],
          [t("proposal.license"), printable(proposal.license, 100)],
          [t("proposal.model"), printable(proposal.model, 2000)],
          [t("proposal.compute"), printable(proposal.compute, 2000)],
          [t("proposal.budget"), printable(proposal.budget, 2000)],
        ]}
      />
      <p class="small soft">{t("proposal.from", { gateway: printable(from, 100) })}</p>
    </>
  );
}

function Rules({ campaign }: { campaign: Campaign }) {
  const { terms, block, state } = campaign;
  const last = terms.milestones.length - 1;
  return (
    <Section id="rules" title={t("rules.title")}>
      <Facts
        rows={[
          [t("rules.funding"), <Time key="f" at={terms.fundingDeadline} now={block.timestamp} />],
          [t("rules.end"), <Time key="e" at={deadlineOf(terms, state, last)} now={block.timestamp} />],
          [t("rules.challenge"), duration(terms.challengeWindow)],
          [t("rules.answer"), duration(terms.answerWindow)],
          [t("rules.stop"), share(terms.stopBps)],
          [t("rules.slack"), duration(terms.slack)],
        ]}
      />
      <p class="small soft">{t("rules.never")}</p>
    </Section>
  );
}
