/** One action: its fields, what it means, and what can be told before the wallet is asked. */

import { useEffect, useState } from "preact/hooks";
import { coinOf, plain } from "../../chain/assets";
import type { Campaign } from "../../chain/campaign";
import type { Where } from "../../where";
import { type Key, t } from "../../words";
import { Before, Signing } from "./before";
import { offeredBond } from "./bond";
import { type Checked, check } from "./check";
import { Allowing, Answering, type FormProps, One, Submitting, typed } from "./fields";
import { isFresh } from "./permit";
import type { Wish } from "./plans";
import type { Standing } from "./standing";
import { type Fields, fieldsOf, wishOf } from "./wishes";

/** Milliseconds of rest after the last key before anything is tried out. */
const REST = 250;

function firstFields({ campaign, standing, offer }: FormProps): Fields {
  const { amount } = offer;
  return {
    amount: offer.action === "unpledge" && amount !== null ? typed(plain(amount, campaign.asset)) : "",
    backer: offer.action === "refundFor" ? "" : standing.account,
    recipient: standing.account,
    chunk: "",
    bond: offer.action === "challenge" ? typed(plain(offeredBond(campaign), coinOf(campaign.chainId))) : "",
    days: "",
    ruling: "",
    means: campaign.asset.native ? "approve" : null,
    permit: null,
    proof: null,
    submission: null,
  };
}

export function ActionForm(props: FormProps) {
  const { where, campaign, standing, offer } = props;
  const [fields, setFields] = useState<Fields>(() => firstFields(props));
  const [touched, setTouched] = useState(false);
  const change = (changes: Partial<Fields>) => setFields((before) => ({ ...before, ...changes }));
  const read = wishOf(offer, fields, campaign, standing);
  const wish = "wish" in read ? read.wish : null;
  const wrong = "wrong" in read ? read.wrong : [];
  const [checked, again] = useCheck(where, campaign, standing, needsSignature(wish, campaign) ? null : wish);
  return (
    <form class="act-form" onSubmit={(event) => event.preventDefault()} noValidate>
      <p>{t(`act.${offer.action}.then` as Key)}</p>
      {fieldsOf(offer).map((field) => (
        <One
          key={field}
          field={field}
          {...{ campaign, offer, fields, change, wrong: touched ? wrong : wrong.filter((one) => one.why !== "empty") }}
          left={() => setTouched(true)}
        />
      ))}
      {offer.action === "pledge" && !campaign.asset.native && <Allowing {...props} {...{ fields, change }} />}
      {offer.action === "answer" && <Answering {...props} {...{ fields, change }} />}
      {offer.action === "submit" && <Submitting {...props} {...{ fields, change }} />}
      {wish && needsSignature(wish, campaign) && <Signing {...props} {...{ wish, change }} />}
      {wish && !needsSignature(wish, campaign) && <Before {...props} {...{ wish, checked, again }} />}
    </form>
  );
}

/** Whether a permit has to be signed before the pledge can be tried out. */
function needsSignature(wish: Wish | null, campaign: Campaign): wish is Extract<Wish, { action: "pledge" }> {
  if (wish?.action !== "pledge" || campaign.asset.native || wish.means !== "permit") return false;
  return !wish.permit || !isFresh(wish.permit, wish.amount, campaign.block.timestamp);
}

function keyOf(value: unknown): string {
  return JSON.stringify(value, (_, one) => (typeof one === "bigint" ? `${one}` : one));
}

/** Tries a wish out whenever it changes, and when the campaign was read anew. */
function useCheck(where: Where, campaign: Campaign, standing: Standing, wish: Wish | null) {
  const key = wish ? `${keyOf(wish)} ${campaign.block.hash} ${keyOf(standing)}` : "";
  const [found, setFound] = useState<{ key: string; checked: Checked }>();
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (!wish) return;
    let current = true;
    const later = setTimeout(() => {
      check(where, campaign, standing, wish)
        .then((checked) => current && setFound({ key, checked }))
        .catch(() => undefined);
    }, REST);
    return () => {
      current = false;
      clearTimeout(later);
    };
  }, [key, round]);
  const again = () => {
    setFound(undefined);
    setRound((number) => number + 1);
  };
  return [found?.key === key ? found.checked : undefined, again] as const;
}
