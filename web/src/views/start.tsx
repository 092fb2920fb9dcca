import { useState } from "preact/hooks";
import { NETWORKS } from "../generated/networks";
import { Button, Field, Section, Title } from "../look/parts";
import { hashOf, optionsOf, type Route } from "../router";
import { t } from "../words";

const USUAL = 11155111;

/** What this is, for somebody who knows nothing about chains. */
export function StartView({ route }: { route: Route }) {
  const [chain, setChain] = useState(`${USUAL}`);
  const go = (event: Event) => {
    event.preventDefault();
    location.hash = hashOf(chain, optionsOf(route));
  };
  const steps = ["promise", "escrow", "proof", "wait", "back"] as const;
  return (
    <>
      <Title text={t("start.title")} />
      <p>{t("start.lead")}</p>
      <form onSubmit={go} class="card">
        <Field id="chain" label={t("start.chain")} hint={t("start.chainHint")}>
          <select
            id="chain"
            value={chain}
            aria-describedby="chain-hint"
            onChange={(event) => setChain(event.currentTarget.value)}
          >
            {Object.entries(NETWORKS).map(([id, network]) => (
              <option key={id} value={id}>
                {network.title}
              </option>
            ))}
          </select>
        </Field>
        <Button type="submit">{t("start.go")}</Button>
      </form>
      <Section id="how" title={t("start.how")}>
        <ol class="steps">
          {steps.map((step) => (
            <li key={step}>{t(`start.step.${step}`)}</li>
          ))}
        </ol>
      </Section>
      <Section id="lose" title={t("start.lose")}>
        <p>{t("start.lose.text")}</p>
        <p>{t("start.lose.gone")}</p>
      </Section>
      <Section id="need" title={t("start.need")}>
        <p>{t("start.need.text")}</p>
        <p>{t("start.need.never")}</p>
        <p>
          <a href={hashOf("report", optionsOf(route))}>{t("report.link")}</a>
        </p>
      </Section>
    </>
  );
}
