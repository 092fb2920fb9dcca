/** The fields of an action's form. */

import { useEffect, useState } from "preact/hooks";
import { coinOf } from "../../chain/assets";
import type { Campaign } from "../../chain/campaign";
import { call } from "../../chain/read";
import { campaignAbi } from "../../generated/abi";
import { CHUNK_SIZE, DAY } from "../../generated/constants";
import { money } from "../../look/numbers";
import { Button, Field, Hash, Notice } from "../../look/parts";
import { type Batching, batching } from "../../sending/batches";
import type { Tracker } from "../../sending/tracker";
import { type Connected, providerOf } from "../../wallet/session";
import type { Where } from "../../where";
import { type Key, language, t } from "../../words";
import { MAX_FILE, submissionOf, UnfitFile } from "./attestation";
import { requiredBond } from "./bond";
import type { Offer } from "./offers";
import { type PermitTerms, permitTerms } from "./permit";
import type { Means } from "./plans";
import { NoProof, proveChunk } from "./proof";
import { latestAttestation, type Standing } from "./standing";
import type { FieldName, Fields, Wrong } from "./wishes";

export type FormProps = {
  where: Where;
  campaign: Campaign;
  standing: Standing;
  connected: Connected;
  tracker: Tracker;
  offer: Offer;
  /** Called when the wallet has taken it. */
  sent: (step: string) => void;
};

/** A decimal number as it is typed in the reader's language. */
export function typed(text: string): string {
  return language() === "de" ? text.replace(".", ",") : text;
}

export type Editing = { fields: Fields; change: (changes: Partial<Fields>) => void };

export function One({
  field,
  campaign,
  offer,
  fields,
  change,
  wrong,
  left,
}: Editing & { field: FieldName; campaign: Campaign; offer: Offer; wrong: Wrong[]; left: () => void }) {
  const id = `act-${offer.action}-${field}-${offer.which}`;
  const why = wrong.find((one) => one.field === field)?.why;
  const problem = why ? t(`act.wrong.${why}` as Key, { example: typed("0.5") }) : "";
  const label = t(`act.field.${field}` as Key, { unit: unitOf(field, campaign) });
  if (field === "ruling") {
    return (
      <fieldset class="field">
        <legend>{label}</legend>
        {(["uphold", "refuse"] as const).map((one) => (
          <label key={one} class="choice">
            <input type="radio" name={id} checked={fields.ruling === one} onChange={() => change({ ruling: one })} />
            {t(`act.ruling.${one}`)}
          </label>
        ))}
      </fieldset>
    );
  }
  const hint = hintOf(field, campaign, offer);
  return (
    <Field label={label} id={id} {...(hint ? { hint } : {})}>
      <input
        id={id}
        value={fields[field]}
        inputMode={
          field === "amount" || field === "bond"
            ? "decimal"
            : field === "chunk" || field === "days"
              ? "numeric"
              : "text"
        }
        autocomplete="off"
        spellcheck={false}
        aria-invalid={problem !== ""}
        aria-describedby={[...(hint ? [`${id}-hint`] : []), ...(problem ? [`${id}-wrong`] : [])].join(" ") || undefined}
        onInput={(event) => change({ [field]: event.currentTarget.value })}
        onBlur={left}
      />
      {problem && (
        <p class="wrong" id={`${id}-wrong`}>
          {problem}
        </p>
      )}
    </Field>
  );
}

function unitOf(field: FieldName, campaign: Campaign): string {
  const asset = field === "bond" ? coinOf(campaign.chainId) : campaign.asset;
  return asset.symbol || t("unit.coin");
}

function hintOf(field: FieldName, campaign: Campaign, offer: Offer): string {
  const { terms, state, asset } = campaign;
  if (field === "amount" && offer.action === "pledge") {
    return t("act.hint.pledge", { room: money(terms.cap - state.pledged, asset) });
  }
  if (field === "amount") return t("act.hint.unpledge", { most: money(offer.amount ?? 0n, asset) });
  if (field === "bond") return t("act.hint.bond", { least: money(requiredBond(campaign), coinOf(campaign.chainId)) });
  if (field === "chunk") {
    const size = latestAttestation(campaign)?.contentSize ?? 0n;
    return t("act.hint.chunk", { last: `${(size - 1n) / BigInt(CHUNK_SIZE)}` });
  }
  if (field === "days") {
    return t("act.hint.days", { most: `${Math.floor((terms.slack - state.slackUsed) / DAY)}` });
  }
  if (field === "backer" && offer.action === "pledge") return t("act.hint.backer");
  return field === "recipient" ? t("act.hint.recipient") : "";
}

/** How the campaign is let take tokens. */
export function Allowing(props: FormProps & Editing) {
  const { where, campaign, standing, connected, fields, change } = props;
  const [offered, setOffered] = useState<{ permit: PermitTerms | null; batch: Batching }>();
  useEffect(() => {
    let current = true;
    const look = async () => {
      const permit = standing.isContract ? null : await permitTerms(where, campaign, standing.account);
      const batch = await batching(providerOf(connected.wallet), standing.account, campaign.chainId);
      if (!current) return;
      setOffered({ permit, batch });
      change({ means: permit ? "permit" : "approve" });
    };
    look().catch(() => current && change({ means: "approve" }));
    return () => {
      current = false;
    };
  }, [standing.account, connected.wallet]);
  if (fields.means === null) return <p role="status">{t("act.reading")}</p>;
  const ways: Means[] = [
    ...(offered?.permit ? (["permit"] as const) : []),
    "approve",
    ...(offered && offered.batch !== "none" ? (["batch"] as const) : []),
  ];
  return (
    <fieldset class="field">
      <legend>{t("act.means")}</legend>
      {ways.map((one) => (
        <label key={one} class="choice">
          <input
            type="radio"
            name="means"
            checked={fields.means === one}
            onChange={() => change({ means: one, permit: null })}
          />
          <span>
            {t(`act.means.${one}` as Key)}
            {one === "batch" && offered?.batch === "upgrade" && <strong> {t("act.means.upgrade")}</strong>}
          </span>
        </label>
      ))}
    </fieldset>
  );
}

/** Fetches the oldest challenged chunk and proves it. */
export function Answering({ where, campaign, fields, change }: FormProps & Editing) {
  const [state, setState] = useState<"idle" | "busy" | NoProof>("idle");
  const prove = async () => {
    setState("busy");
    try {
      const attestation = latestAttestation(campaign);
      if (!attestation) throw new NoProof("content");
      const { chunk } = await call(where.reader, campaign.block, campaign.address, campaignAbi, "openChallenge", [0n]);
      const content = { root: attestation.contentRoot, size: attestation.contentSize };
      change({ proof: await proveChunk(attestation.evidence, content, chunk, where.gateways) });
      setState("idle");
    } catch (error) {
      setState(error instanceof NoProof ? error : new NoProof("absent"));
    }
  };
  if (fields.proof) return <p>{t("act.answer.proved", { chunk: `${fields.proof.chunk}` })}</p>;
  return (
    <>
      <Button onClick={() => void prove()} disabled={state === "busy"}>
        {t(state === "busy" ? "act.answer.proving" : "act.answer.prove")}
      </Button>
      {state instanceof NoProof && (
        <Notice tone="care" title={t("act.answer.none")}>
          <p>{t(`act.answer.${state.why}` as Key)}</p>
          <p>
            <code>llamafund answer {campaign.address}</code>
          </p>
        </Notice>
      )}
    </>
  );
}

export function Submitting({ campaign, fields, change }: FormProps & Editing) {
  const [problem, setProblem] = useState<UnfitFile>();
  const take = async (files: FileList | null) => {
    setProblem(undefined);
    change({ submission: null });
    try {
      const all = [...(files ?? [])];
      if (all.some((file) => file.size > MAX_FILE)) throw new UnfitFile("form");
      const texts = await Promise.all(all.map((file) => file.text()));
      change({ submission: await submissionOf(texts, campaign) });
    } catch (error) {
      setProblem(error instanceof UnfitFile ? error : new UnfitFile("form"));
    }
  };
  const { submission } = fields;
  return (
    <>
      <Field label={t("act.field.files")} hint={t("act.hint.files")} id="act-files">
        <input
          id="act-files"
          type="file"
          accept=".json,application/json"
          multiple
          aria-describedby="act-files-hint"
          onChange={(event) => void take(event.currentTarget.files)}
        />
      </Field>
      {problem && (
        <Notice tone="bad" title={t(`act.file.${problem.why}` as Key)}>
          {problem.who && <Hash value={problem.who} />}
        </Notice>
      )}
      {submission && (
        <p>
          {t("act.submit.read", {
            milestone: `${submission.statement.milestone}`,
            count: `${submission.signatures.length}`,
            quorum: `${campaign.terms.quorum}`,
          })}
        </p>
      )}
      {submission && submission.unsure.length > 0 && (
        <p>{t("act.submit.unsure", { who: submission.unsure.join(", ") })}</p>
      )}
    </>
  );
}
