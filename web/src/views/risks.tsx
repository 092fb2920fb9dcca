import type { Campaign } from "../chain/campaign";
import type { Manifest, Proposal } from "../evidence/manifests";
import { Loading, Notice, Section } from "../look/parts";
import { useReading } from "../look/reading";
import { gatherFacts } from "../risk/facts";
import { grade, type Judged, judge } from "../risk/rules";
import type { Where } from "../where";
import { t } from "../words";

/** What the published rules say: the same ones that `llamafund inspect` applies. */
export function Risks({
  where,
  campaign,
  manifest,
}: {
  where: Where;
  campaign: Campaign;
  manifest: Manifest<Proposal> | null;
}) {
  const key = manifest === null ? "waits" : `${campaign.block.hash} ${manifest.outcome}`;
  const [reading] = useReading(key, async () =>
    manifest === null ? null : judge(await gatherFacts(where.reader, campaign, manifest, where.gateways)),
  );
  const judged = reading.state === "there" ? reading.value : null;
  return (
    <Section id="risks" title={t("risks.title")}>
      {judged === null ? <Loading what={t("loading.risks")} lines={8} /> : <Findings judged={judged} />}
    </Section>
  );
}

function Findings({ judged }: { judged: Judged[] }) {
  const { grade: letter, means } = grade(judged);
  const failed = judged.filter((one) => one.outcome === "fails");
  const unknown = judged.filter((one) => one.outcome === "unknown");
  const holding = judged.filter((one) => one.outcome === "holds");
  return (
    <>
      <div class="row">
        <span class={`grade grade-${letter}`} aria-hidden="true">
          {letter}
        </span>
        <p>
          <span class="unseen">{t("risks.grade", { grade: letter })}</span>
          <strong lang="en">{means}</strong>
          <br />
          <span class="soft">
            {t("risks.counts", {
              failed: `${failed.length}`,
              unknown: `${unknown.length}`,
              holds: `${holding.length}`,
            })}
          </span>
        </p>
      </div>
      <ul class="findings">
        {failed.map((one) => (
          <Finding key={one.id} one={one} />
        ))}
      </ul>
      {unknown.length > 0 && (
        <Notice title={t("risks.unknown")}>
          <p>{t("risks.unknown.do")}</p>
          <ul lang="en">
            {unknown.map((one) => (
              <li key={one.id}>
                <strong>{one.title}:</strong> {one.detail}.
              </li>
            ))}
          </ul>
        </Notice>
      )}
      <details>
        <summary>{t("risks.holds", { count: `${holding.length}` })}</summary>
        <ul lang="en">
          {holding.map((one) => (
            <li key={one.id}>
              <strong>{one.title}:</strong> {one.detail}.
            </li>
          ))}
        </ul>
      </details>
      <p class="small soft">{t("risks.english")}</p>
    </>
  );
}

function Finding({ one }: { one: Judged }) {
  const tone = one.severity === "critical" || one.severity === "high" ? "tag-bad" : "tag-care";
  return (
    <li>
      <p class="row">
        <span class={`tag ${tone}`}>{t(`severity.${one.severity}`)}</span>
        <strong lang="en">{one.title}</strong>
      </p>
      <p lang="en">{one.detail}.</p>
      <p class="soft" lang="en">
        {one.ask}
      </p>
    </li>
  );
}
