import type { Campaign } from "../chain/campaign";
import { only } from "../chain/events";
import { fetchManifest, updateFrom } from "../evidence/manifests";
import { Facts, Hash, Loading, Notice, Prose, Section } from "../look/parts";
import { printable } from "../look/printable";
import { useReading } from "../look/reading";
import type { Where } from "../where";
import { t } from "../words";

/** Updates that are shown, newest first. Posting one costs little, and each is fetched. */
const MOST = 20;

/** What the researcher told the backers; nothing if there is nothing. */
export function Updates({ where, campaign }: { where: Where; campaign: Campaign }) {
  const posted = only(campaign.events, "UpdatePosted").reverse();
  if (posted.length === 0) return null;
  return (
    <Section id="updates" title={t("updates.title")}>
      {posted.slice(0, MOST).map((event) => (
        <Update
          key={`${event.log.blockNumber} ${event.log.logIndex}`}
          where={where}
          campaign={campaign}
          hash={event.args.manifest.slice(2)}
        />
      ))}
      {posted.length > MOST && <p class="soft">{t("updates.more", { count: `${posted.length - MOST}` })}</p>}
    </Section>
  );
}

function Update({ where, campaign, hash }: { where: Where; campaign: Campaign; hash: string }) {
  const [reading] = useReading(hash, () => fetchManifest(hash, where.gateways, updateFrom));
  if (reading.state !== "there") return <Loading what={t("loading.part")} />;
  const found = reading.value;
  if (found.outcome !== "read") {
    return (
      <Notice tone="care" title={t(`updates.${found.outcome}`)}>
        <Hash value={hash} />
      </Notice>
    );
  }
  const { value } = found;
  const own = `eip155:${campaign.chainId}:${campaign.address}`.toLowerCase();
  if (value.campaign.toLowerCase() !== own) return <Notice tone="care" title={t("updates.other")} />;
  return (
    <article>
      <h3>{printable(value.title, 300)}</h3>
      <Prose text={value.text} />
      {value.links.length > 0 && (
        <Facts
          rows={value.links.map((link) => [printable(link.title, 100), <Hash key={link.sha256} value={link.sha256} />])}
        />
      )}
    </article>
  );
}
