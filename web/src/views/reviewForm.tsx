/** Writing a review: the wallet signs it, and the manifest is a file to keep and to pass on. */

import { useEffect, useState } from "preact/hooks";
import { type Address, type Hex, hashTypedData } from "viem";
import type { Campaign } from "../chain/campaign";
import { codeAt } from "../chain/read";
import { addressOf, charactersOf, hashOf, type Review, reviewBytes, reviewText } from "../evidence/reviews";
import { MAX_REVIEW_CHARACTERS } from "../generated/constants";
import { Button, Facts, Field, Hash, Notice, Section } from "../look/parts";
import { standing } from "../sending/send";
import { accountOf, isAccepted, typedReview } from "../verify/reviews";
import { usualForm } from "../verify/usualForm";
import { session, useConnected } from "../wallet/here";
import { isEverybodys } from "../wallet/ofNode";
import { WalletError } from "../wallet/provider";
import type { Connected } from "../wallet/session";
import { askToSign } from "../wallet/typed";
import type { Where } from "../where";
import { t } from "../words";
import "./act/act.css";
import { SendingTrouble } from "./act/before";
import { Connect, walletName } from "./act/connect";

type Bytes = Uint8Array<ArrayBuffer>;
type WriteProps = { where: Where; campaign: Campaign; written: (bytes: Bytes) => void };

export function WriteReview({ where, campaign, written }: WriteProps) {
  const connected = useConnected();
  return (
    <Section id="reviews-write" title={t("reviews.write")}>
      <p>{t("reviews.write.means")}</p>
      <Connect where={where} connected={connected} />
      {connected && isEverybodys(connected.account, campaign.chainId) && (
        <Notice tone="bad" title={t("act.known")}>
          <p>{t("act.known.means")}</p>
        </Notice>
      )}
      {connected && !isEverybodys(connected.account, campaign.chainId) && (
        <Form {...{ where, campaign, connected, written }} />
      )}
    </Section>
  );
}

function Form({ where, campaign, connected, written }: WriteProps & { connected: Connected }) {
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>();
  const [signed, setSigned] = useState<Bytes | null>(null);
  const text = reviewText(typed);
  const length = charactersOf(text);
  const fits = length > 0 && length <= MAX_REVIEW_CHARACTERS && !/\p{Cs}/u.test(text);
  const right = connected.chain === campaign.chainId;
  const sign = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      const bytes = await signReview(where, campaign, connected.account, text);
      setSigned(bytes);
      setTyped("");
      written(bytes);
    } catch (error) {
      setProblem(error);
    } finally {
      setBusy(false);
    }
  };
  const values = { length: `${length}`, most: `${MAX_REVIEW_CHARACTERS}` };
  return (
    <form class="act-form" onSubmit={(event) => event.preventDefault()} noValidate>
      <Field id="review-text" label={t("reviews.text")} hint={t("reviews.text.hint", values)}>
        <textarea
          id="review-text"
          rows={8}
          value={typed}
          aria-describedby="review-text-hint"
          aria-invalid={length > 0 && !fits}
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
      </Field>
      {length > 0 && !fits && <p class="wrong">{t("reviews.text.wrong", values)}</p>}
      {fits && <Shows campaign={campaign} account={connected.account} />}
      {!right && <p>{t("act.wrongChain")}</p>}
      <Button disabled={busy || !right || !fits} onClick={() => void sign()}>
        {t(busy ? "act.waiting" : "reviews.sign", { wallet: walletName(connected.wallet) })}
      </Button>
      <SendingTrouble error={problem} />
      <div role="status">{signed && <Signed campaign={campaign} bytes={signed} />}</div>
    </form>
  );
}

/** What the wallet will show, to compare. */
function Shows({ campaign, account }: { campaign: Campaign; account: Address }) {
  return (
    <details>
      <summary>{t("act.shows")}</summary>
      <p class="small">{t("act.shows.means")}</p>
      <Facts
        rows={[
          [t("act.shows.kind"), <code key="k">Review</code>],
          ["verifyingContract", <Hash key="v" value={campaign.address} />],
          ["proposal", <Hash key="p" value={campaign.terms.proposal} />],
          ["written", t("reviews.now")],
          ["text", t("reviews.yours")],
          [t("reviews.signer"), <Hash key="s" value={account} />],
        ]}
      />
    </details>
  );
}

/** What to do with it next: nobody else has it yet. */
function Signed({ campaign, bytes }: { campaign: Campaign; bytes: Bytes }) {
  const sha256 = hashOf(bytes);
  const name = fileName(sha256);
  return (
    <Notice tone="good" title={t("reviews.signed")}>
      <p>{t("reviews.signed.means")}</p>
      <SaveFile bytes={bytes} name={name} />
      <Facts
        rows={[
          [t("reviews.hash"), <Hash key="h" value={sha256} />],
          ["IPFS", <Hash key="c" value={addressOf(sha256)} />],
        ]}
      />
      <p>{t("reviews.signed.then")}</p>
      <p>
        <code>{`ipfs add --cid-version=1 ${name}`}</code>
      </p>
      <p>{t("reviews.signed.check")}</p>
      <p>
        <code>{`llamafund review list ${campaign.address} ${name}`}</code>
      </p>
    </Notice>
  );
}

export function fileName(sha256: string): string {
  return `review-${sha256.slice(0, 12)}.json`;
}

/** A link that saves the bytes as a file. */
export function SaveFile({ bytes, name }: { bytes: Bytes; name: string }) {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([bytes], { type: "application/json" }));
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [bytes]);
  if (url === undefined) return null;
  return (
    <p>
      <a class="button quiet" href={url} download={name}>
        {t("reviews.save")}
      </a>
    </p>
  );
}

/** Asks the wallet, checks what it signed, and returns the manifest's bytes. */
async function signReview(where: Where, campaign: Campaign, account: Address, text: string): Promise<Bytes> {
  const from = await standing(session, { account, chain: campaign.chainId });
  const said = { proposal: campaign.terms.proposal.slice(2), written: Math.floor(Date.now() / 1000), text };
  const typed = typedReview(campaign, said);
  const given = await askToSign(from, typed);
  const signature = await provenForm(where, campaign, account, hashTypedData(typed), given);
  const review: Review = { campaign: accountOf(campaign), reviewer: account, ...said, signature };
  return reviewBytes(review);
}

/** The signature as others will check it: by the account's key, or by the wallet contract that the account is. */
async function provenForm(where: Where, campaign: Campaign, account: Address, digest: Hex, given: Hex): Promise<Hex> {
  const usual = await usualForm(digest, given, account);
  if (usual !== null) return usual;
  const isContract = (await codeAt(where.reader, campaign.block, account)) !== "0x";
  if (isContract && (await isAccepted(where.reader, campaign, account, digest, given))) return given;
  throw new WalletError("invalid", undefined);
}
