/** Many campaigns at one block. One that cannot be read hides no other. */

import { type Asset, assetAt } from "./assets";
import { type Progress, readProgress } from "./campaign";
import type { Reader } from "./client";
import { type Created, hasFactory, listCampaigns } from "./factory";
import { atOneBlock, type Block } from "./read";
import { type Trouble, troubleOf } from "./trouble";

export type Seen = { created: Created } & ({ progress: Progress; asset: Asset } | { trouble: Trouble });

export type Overview = { block: Block; deployed: boolean; total: number; campaigns: Seen[] };

/** Campaigns that are read at once; older ones are only counted. */
export const MOST_SHOWN = 300;

/** The campaigns of a chain, newest first. */
export function readOverview(reader: Reader, chainId: number): Promise<Overview> {
  return atOneBlock(reader, async (block) => {
    const created = (await listCampaigns(reader, chainId, block)).reverse();
    const deployed = created.length > 0 || (await hasFactory(reader, block));
    const assets = new Map<string, Promise<Asset>>();
    const assetOf = (one: Created) => {
      const known = assets.get(one.terms.asset) ?? assetAt(reader, chainId, block, one.terms.asset);
      assets.set(one.terms.asset, known);
      return known;
    };
    const campaigns = await Promise.all(
      created.slice(0, MOST_SHOWN).map(async (one): Promise<Seen> => {
        try {
          const [progress, asset] = await Promise.all([readProgress(reader, block, one.campaign), assetOf(one)]);
          return { created: one, progress, asset };
        } catch (thrown) {
          const trouble = troubleOf(thrown);
          if (trouble.kind === "offline") throw thrown;
          return { created: one, trouble };
        }
      }),
    );
    return { block, deployed, total: created.length, campaigns };
  });
}
