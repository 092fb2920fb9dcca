/** Which wallet, which account, which network. */

import { useEffect, useState } from "preact/hooks";
import type { Announced } from "../../chain/announced";
import { NETWORKS } from "../../generated/networks";
import { Button, Field, Hash, Notice } from "../../look/parts";
import { printable } from "../../look/printable";
import { session, useWallets } from "../../wallet/here";
import { NodeWallet, testName, walletOfNode } from "../../wallet/ofNode";
import { type Cause, WalletError } from "../../wallet/provider";
import type { Connected } from "../../wallet/session";
import type { Where } from "../../where";
import { knownSource } from "../../where";
import { type Key, t } from "../../words";

const LONGEST_NAME = 40;

export function walletName(wallet: Announced): string {
  if (wallet instanceof NodeWallet) return t("wallet.test");
  return printable(wallet.name, LONGEST_NAME).trim() || t("wallet.unnamed");
}

/** Why the wallet did not do it, and what to do. */
export function WalletTrouble({ error }: { error: WalletError }) {
  const key = `wallet.cause.${error.reason}` as `wallet.cause.${Cause}`;
  return (
    <Notice tone={error.reason === "declined" ? "open" : "care"} title={t(key)}>
      <p>{t(`${key}.do` as Key)}</p>
      {error.code !== undefined && <p class="small soft">{t("wallet.code", { code: `${error.code}` })}</p>}
    </Notice>
  );
}

/** Runs something with the wallet, and keeps what it said instead. */
export function useWallet(): [
  busy: boolean,
  trouble: WalletError | undefined,
  run: (act: () => Promise<void>) => void,
] {
  const [busy, setBusy] = useState(false);
  const [trouble, setTrouble] = useState<WalletError>();
  const run = (act: () => Promise<void>) => {
    setBusy(true);
    setTrouble(undefined);
    act()
      .catch((error: unknown) => setTrouble(error instanceof WalletError ? error : new WalletError("other", undefined)))
      .finally(() => setBusy(false));
  };
  return [busy, trouble, run];
}

export function Connect({ where, connected }: { where: Where; connected: Connected | undefined }) {
  const { found: announced, waiting } = useWallets();
  const [busy, trouble, run] = useWallet();
  const ofNode = walletOfNode(where);
  const found = ofNode ? [...announced, ofNode] : announced;
  useEffect(() => {
    if (ofNode && !session.connected && session.remembered === ofNode.rdns) {
      session.connect(ofNode, true).catch(() => undefined);
    }
  }, [ofNode]);
  if (connected) return <Standing where={where} connected={connected} />;
  return (
    <div class="wallets">
      <p>{t(found.length > 0 ? "wallet.choose" : waiting ? "wallet.looking" : "wallet.none")}</p>
      {found.length > 0 && (
        <ul class="wallet-list">
          {found.map((wallet) => (
            <li key={wallet.uuid}>
              <button
                type="button"
                class="button quiet wallet"
                disabled={busy}
                onClick={() => run(() => session.connect(wallet))}
              >
                {wallet.icon && <img src={wallet.icon} alt="" width="24" height="24" />}
                <span>{walletName(wallet)}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
      <div role="status">{busy && <p>{t("wallet.answer")}</p>}</div>
      {trouble && <WalletTrouble error={trouble} />}
    </div>
  );
}

function Standing({ where, connected }: { where: Where; connected: Connected }) {
  const [busy, trouble, run] = useWallet();
  const right = connected.chain === where.chainId;
  return (
    <div class="wallets">
      <div class="row">
        <p>{t("wallet.connected", { name: walletName(connected.wallet) })}</p>
        <Button quiet disabled={busy} onClick={() => run(() => session.disconnect())}>
          {t("wallet.disconnect")}
        </Button>
      </div>
      {connected.wallet instanceof NodeWallet && <TestAccounts wallet={connected.wallet} account={connected.account} />}
      <Hash value={connected.account} chainId={where.chainId} kind="address" />
      {!right && (
        <Notice tone="care" title={t("wallet.otherChain", { chain: chainName(connected.chain) })}>
          <p>{t("wallet.otherChain.why", { chain: chainName(where.chainId) })}</p>
          <Button disabled={busy} onClick={() => run(() => session.switchTo(newChain(where)))}>
            {t("wallet.switch", { chain: chainName(where.chainId) })}
          </Button>
        </Notice>
      )}
      {trouble && <WalletTrouble error={trouble} />}
    </div>
  );
}

/** The accounts that a development node holds, for everybody to play with. */
function TestAccounts({ wallet, account }: { wallet: NodeWallet; account: string }) {
  const [all, setAll] = useState<string[]>([account]);
  useEffect(() => {
    wallet.accounts().then(setAll, () => undefined);
  }, [wallet]);
  return (
    <Field label={t("wallet.test.account")} hint={t("wallet.test.means")} id="test-account">
      <select
        id="test-account"
        value={account}
        aria-describedby="test-account-hint"
        onChange={(event) => wallet.choose(event.currentTarget.value)}
      >
        {all.map((one) => (
          <option key={one} value={one}>
            {`${testName(one)} ${one}`.trim()}
          </option>
        ))}
      </select>
    </Field>
  );
}

type Known = { title: string; coin: string; explorer: string | null };

export function chainName(id: number | undefined): string {
  if (id === undefined) return t("wallet.noChain");
  return (NETWORKS as Record<number, Known>)[id]?.title ?? t("wallet.chainNumber", { id: `${id}` });
}

function newChain({ chainId, options }: Where) {
  const known = (NETWORKS as Record<number, Known>)[chainId];
  const source = knownSource(chainId, options);
  return {
    id: chainId,
    name: chainName(chainId),
    coin: known?.coin ?? "ETH",
    rpc: source && "rpc" in source ? source.rpc : undefined,
    explorer: known?.explorer ?? null,
  };
}
