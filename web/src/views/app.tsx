import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { PROJECT } from "../generated/constants";
import { Loading, Notice, Problem, Title } from "../look/parts";
import { useReading } from "../look/reading";
import { hashOf, optionsOf, type Route } from "../router";
import { knownSource, look, type Where } from "../where";
import { keepLanguage, LANGUAGES, type Language, language, t } from "../words";
import { CampaignView } from "./campaign";
import { ListView } from "./list";
import { NodeForm } from "./node";
import { PAGES, type PageProps } from "./slots";
import { StartView } from "./start";

/** The frame of every view. */
export function App({ route, choose }: { route: Route; choose: (next: Language) => void }) {
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const place = `${route.view} ${"campaign" in route ? route.campaign : ""}`;
  useEffect(() => {
    // Another view is like another page: a screen reader goes on at its beginning.
    if (!first.current) main.current?.focus();
    first.current = false;
  }, [place]);
  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        {t("frame.skip")}
      </button>
      <Top route={route} choose={choose} />
      <main ref={main} tabIndex={-1} id="main">
        <View route={route} />
      </main>
      <footer class="bottom">
        <p>{t("frame.foot")}</p>
      </footer>
    </>
  );
}

function Top({ route, choose }: { route: Route; choose: (next: Language) => void }) {
  const options = optionsOf(route);
  const chainId = "chainId" in route ? route.chainId : null;
  const links: [string, string, boolean][] = [[hashOf("", options), t("nav.start"), route.view === "start"]];
  if (chainId !== null) {
    links.push([hashOf(`${chainId}`, options), t("nav.campaigns"), route.view === "list"]);
    links.push([hashOf(`${chainId}/mine`, options), t("nav.mine"), route.view === "mine"]);
  }
  return (
    <header class="top">
      <a class="name" href={hashOf("", options)}>
        {PROJECT}
      </a>
      <nav aria-label={t("nav.label")}>
        {links.map(([href, text, here]) => (
          <a key={href} href={href} aria-current={here ? "page" : undefined}>
            {text}
          </a>
        ))}
      </nav>
      <label class="unseen" for="language">
        {t("frame.language")}
      </label>
      <select
        id="language"
        value={language()}
        onChange={(event) => {
          const next = event.currentTarget.value as Language;
          keepLanguage(next);
          choose(next);
        }}
      >
        {LANGUAGES.map((one) => (
          <option key={one} value={one} lang={one}>
            {{ en: "English", de: "Deutsch" }[one]}
          </option>
        ))}
      </select>
    </header>
  );
}

function View({ route }: { route: Route }) {
  if (route.view === "start" || route.view === "risks") return <StartView route={route} />;
  if (route.view === "lost") return <Lost said={route.said} />;
  if ("chainId" in route)
    return <OnChain key={`${route.chainId} ${route.rpc}`} route={route} chainId={route.chainId} />;
  return <Page route={route} where={null} />;
}

/** A view that looks at a chain: first through what. */
function OnChain({ route, chainId }: { route: Route; chainId: number }) {
  const options = optionsOf(route);
  const [source, setSource] = useState(() => knownSource(chainId, options));
  const [opened, again] = useReading(`${source ? "look" : "ask"} ${options.gateway}`, () =>
    source ? look(chainId, source, options) : Promise.resolve(null),
  );
  if (source === null) return <NodeForm chainId={chainId} bad={options.rpc} choose={setSource} />;
  if (opened.state === "loading") return <Loading what={t("loading.node")} lines={12} />;
  if (opened.state === "trouble") {
    return (
      <>
        <Title text={t("trouble.title")} />
        <Problem trouble={opened.trouble} again={again} />
        <NodeForm chainId={chainId} bad={null} choose={setSource} heading={false} />
      </>
    );
  }
  const where = opened.value;
  if (where === null) return <Loading what={t("loading.node")} lines={12} />;
  if (route.view === "list") return <ListView where={where} />;
  if (route.view === "campaign") return <CampaignView key={route.campaign} where={where} address={route.campaign} />;
  return <Page route={route} where={where} />;
}

/** A view of another part of the page. */
function Page({ route, where }: { route: Route; where: Where | null }) {
  const load = PAGES[route.view];
  const [Loaded, setLoaded] = useState<ComponentType<PageProps> | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    load?.()
      .then((module) => setLoaded(() => module.default))
      .catch(() => setFailed(true));
  }, [load]);
  if (load === undefined) return <Lost said={route.view} />;
  if (failed) return <Notice tone="care" title={t("trouble.part")} />;
  return Loaded === null ? <Loading what={t("loading.part")} lines={12} /> : <Loaded route={route} where={where} />;
}

function Lost({ said }: { said: string }) {
  return (
    <>
      <Title text={t("lost.title")} />
      <p>{t("lost.text", { said })}</p>
      <p>
        <a href="#/">{t("lost.home")}</a>
      </p>
    </>
  );
}
