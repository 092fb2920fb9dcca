/** Where the page's other parts join in. Each is loaded when it is needed. */

import type { ComponentType } from "preact";
import type { Campaign } from "../chain/campaign";
import type { Proposal } from "../evidence/manifests";
import type { Route } from "../router";
import type { Where } from "../where";

/** What a panel of the campaign view gets. `proposal` is null where it could not be read. `again` reads all anew. */
export type PanelProps = { where: Where; campaign: Campaign; proposal: Proposal | null; again: () => void };

/** What a view of its own gets; `where` is null for views that need no chain. */
export type PageProps = { route: Route; where: Where | null };

type Loaded<P> = () => Promise<{ default: ComponentType<P> }>;

/** Panels of the campaign view, in the order in which they stand there. */
export const PANELS: Record<string, Loaded<PanelProps>> = { act: () => import("./act/panel") };

/** Views of their own, by the route's name. */
export const PAGES: Partial<Record<Route["view"], Loaded<PageProps>>> = {
  mine: () => import("./mine"),
  report: () => import("./report"),
  reviews: () => import("./reviews"),
  verify: () => import("./verify"),
};
