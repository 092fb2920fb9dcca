import { useEffect, useState } from "preact/hooks";
import { nextDeadline, STATUSES, takesPledges } from "../chain/campaign";
import { MOST_SHOWN, type Overview, readOverview, type Seen } from "../chain/overview";
import { fetchManifest, proposalFrom } from "../evidence/manifests";
import { money, percent } from "../look/numbers";
import { Button, Field, Loading, Notice, Origin, Problem, StatusMark, Time, Title } from "../look/parts";
import { printable } from "../look/printable";
import { useReading } from "../look/reading";
import { hashOf } from "../router";
import type { Where } from "../where";
import { t } from "../words";
import { chainTitle } from "./node";

/** A title, or null once it is known that there is none to be had. */
type Titles = Record<string, string | null>;

export function ListView({ where }: { where: Where }) {
  const [reading, again] = useReading("list", () => readOverview(where.reader, where.chainId));
  return (
    <>
      <Title text={t("list.title", { chain: chainTitle(where.chainId) })} />
      {reading.state === "loading" && <Loading what={t("loading.list")} lines={12} />}
      {reading.state === "trouble" && <Problem trouble={reading.trouble} again={again} />}
      {reading.state === "there" && (
        <>
          {reading.stale && <Problem trouble={reading.stale} again={again} />}
          <Campaigns where={where} overview={reading.value} again={again} />
        </>
      )}
    </>
  );
}

function Campaigns({ where, overview, again }: { where: Where; overview: Overview; again: () => void }) {
  const titles = useTitles(where, overview);
  const [words, setWords] = useState("");
  const [status, setStatus] = useState("open");
  const [order, setOrder] = useState("newest");
  const now = overview.block.timestamp;
  if (!overview.deployed) return <Notice tone="care" title={t("list.notDeployed")} />;
  if (overview.total === 0) {
    return (
      <Notice title={t("list.empty")}>
        <p>{t("list.empty.do")}</p>
      </Notice>
    );
  }
  const kept = overview.campaigns.filter((one) => fits(one, titles, words, status, now));
  const shown = sorted(kept, order, now);
  return (
    <>
      <search>
        <form class="row" onSubmit={(event) => event.preventDefault()}>
          <Field id="words" label={t("list.search")}>
            <input id="words" type="search" value={words} onInput={(event) => setWords(event.currentTarget.value)} />
          </Field>
          <Field id="status" label={t("list.status")}>
            <select id="status" value={status} onChange={(event) => setStatus(event.currentTarget.value)}>
              <option value="open">{t("list.open")}</option>
              <option value="all">{t("list.all")}</option>
              {STATUSES.map((one) => (
                <option key={one} value={one}>
                  {t(`status.${one}`)}
                </option>
              ))}
            </select>
          </Field>
          <Field id="order" label={t("list.order")}>
            <select id="order" value={order} onChange={(event) => setOrder(event.currentTarget.value)}>
              {(["newest", "deadline", "progress"] as const).map((one) => (
                <option key={one} value={one}>
                  {t(`list.order.${one}`)}
                </option>
              ))}
            </select>
          </Field>
        </form>
      </search>
      <p role="status" class="soft">
        {t("list.count", { shown: `${shown.length}`, total: `${overview.total}` })}
        {overview.total > MOST_SHOWN && ` ${t("list.most", { most: `${MOST_SHOWN}` })}`}
      </p>
      {shown.length === 0 && (
        <Notice title={t("list.none")}>
          <Button
            quiet
            onClick={() => {
              setWords("");
              setStatus("all");
            }}
          >
            {t("list.showAll")}
          </Button>
        </Notice>
      )}
      <ul class="cards">
        {shown.map((one) => (
          <Card
            key={one.created.campaign}
            where={where}
            one={one}
            title={titles[one.created.terms.proposal]}
            now={now}
          />
        ))}
      </ul>
      <Origin block={overview.block} where={where.reader.where} again={again} />
    </>
  );
}

function Card({ where, one, title, now }: { where: Where; one: Seen; title: string | null | undefined; now: number }) {
  const { campaign, terms } = one.created;
  const name = title === undefined ? t("list.titleLoading") : (title ?? t("list.noTitle"));
  const link = <a href={hashOf(`${where.chainId}/${campaign}`, where.options)}>{name}</a>;
  if ("trouble" in one) {
    return (
      <li>
        <h2>{link}</h2>
        <p class="hash small">{campaign}</p>
        <p>{t("list.unreadable")}</p>
      </li>
    );
  }
  const { progress, asset } = one;
  const reached = percent(progress.pledged, terms.goal);
  const next = nextDeadline(terms, progress, now);
  return (
    <li>
      <StatusMark status={progress.status} />
      <h2>{link}</h2>
      <progress max={100} value={Math.min(reached, 100)} aria-label={t("list.reached", { percent: `${reached}` })} />
      <p class="small">
        {t("list.pledged", {
          pledged: money(progress.pledged, asset),
          goal: money(terms.goal, asset),
          percent: `${reached}`,
        })}
      </p>
      <p class="small soft">
        {t("list.milestones", { attested: `${progress.attested}`, total: `${terms.milestones.length}` })}
        {next && (
          <>
            {" · "}
            {t(`deadline.${next.what}`)} <Time at={next.at} now={now} />
          </>
        )}
      </p>
    </li>
  );
}

function useTitles(where: Where, overview: Overview): Titles {
  const [titles, setTitles] = useState<Titles>({});
  useEffect(() => {
    let current = true;
    const hashes = [...new Set(overview.campaigns.map((one) => one.created.terms.proposal))];
    const fetchNext = async (): Promise<void> => {
      for (let hash = hashes.shift(); hash !== undefined && current; hash = hashes.shift()) {
        const key = hash;
        const found = await fetchManifest(key, where.gateways, proposalFrom);
        const title = found.outcome === "read" ? printable(found.value.title, 120) : null;
        if (current) setTitles((before) => ({ ...before, [key]: title }));
      }
    };
    for (let worker = 0; worker < 6; worker += 1) void fetchNext();
    return () => {
      current = false;
    };
  }, [overview, where]);
  return titles;
}

function fits(one: Seen, titles: Titles, words: string, status: string, now: number): boolean {
  const { campaign, terms } = one.created;
  const text = `${titles[terms.proposal] ?? ""} ${campaign} ${terms.researcher}`.toLowerCase();
  if (
    !words
      .toLowerCase()
      .split(/\s+/)
      .every((word) => text.includes(word))
  )
    return false;
  if (status === "all" || "trouble" in one) return true;
  return status === "open" ? takesPledges(terms, one.progress, now) : one.progress.status === status;
}

function sorted(campaigns: Seen[], order: string, now: number): Seen[] {
  const NEVER = Number.MAX_SAFE_INTEGER;
  const deadline = (one: Seen) =>
    "trouble" in one ? NEVER : (nextDeadline(one.created.terms, one.progress, now)?.at ?? NEVER);
  const reached = (one: Seen) => ("trouble" in one ? -1 : percent(one.progress.pledged, one.created.terms.goal));
  if (order === "deadline") return [...campaigns].sort((a, b) => deadline(a) - deadline(b));
  if (order === "progress") return [...campaigns].sort((a, b) => reached(b) - reached(a));
  return campaigns;
}
