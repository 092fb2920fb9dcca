import { useEffect, useState } from "preact/hooks";
import { type Announced, wallets, watchWallets } from "../chain/announced";
import { isNodeUrl, type Source } from "../chain/client";
import { NETWORKS } from "../generated/networks";
import { Button, Field, Notice, Title } from "../look/parts";
import { printable } from "../look/printable";
import { keepNode } from "../where";
import { t } from "../words";

export function chainTitle(chainId: number): string {
  const network = (NETWORKS as Record<number, { title: string }>)[chainId];
  return network ? network.title : t("chain.unknown", { id: `${chainId}` });
}

/** Asks through what to read the chain: a node that the reader names, or a wallet. */
export function NodeForm({
  chainId,
  bad,
  choose,
  heading = true,
}: {
  chainId: number;
  bad: string | null;
  choose: (source: Source) => void;
  heading?: boolean;
}) {
  const [url, setUrl] = useState("");
  const [refused, setRefused] = useState(false);
  const [offered, setOffered] = useState<Announced[]>([]);
  useEffect(() => {
    const changed = () => setOffered(wallets());
    const stop = watchWallets(changed);
    changed();
    return stop;
  }, []);
  const submit = (event: Event) => {
    event.preventDefault();
    const rpc = url.trim();
    setRefused(!isNodeUrl(rpc));
    if (!isNodeUrl(rpc)) return;
    keepNode(chainId, rpc);
    choose({ rpc });
  };
  const title = t("node.title", { chain: chainTitle(chainId) });
  return (
    <>
      {heading ? <Title text={title} /> : <h2>{title}</h2>}
      <p>{t("node.why")}</p>
      {bad !== null && <Notice tone="care" title={t("node.badLink", { url: printable(bad, 100) })} />}
      {offered.map((wallet) => (
        <p key={wallet.uuid}>
          <Button onClick={() => choose({ provider: wallet.provider, name: wallet.name })}>
            {wallet.name ? t("node.wallet", { wallet: printable(wallet.name, 40) }) : t("node.unnamedWallet")}
          </Button>
        </p>
      ))}
      <form onSubmit={submit}>
        <Field id="node" label={t("node.field")} hint={t("node.hint")}>
          <input
            id="node"
            type="url"
            inputMode="url"
            autocomplete="off"
            spellcheck={false}
            value={url}
            placeholder="http://127.0.0.1:8545"
            aria-describedby="node-hint"
            aria-invalid={refused}
            onInput={(event) => setUrl(event.currentTarget.value)}
          />
        </Field>
        {refused && <Notice tone="bad" title={t("node.refused")} />}
        <Button type="submit" quiet={offered.length > 0}>
          {t("node.submit")}
        </Button>
      </form>
    </>
  );
}
