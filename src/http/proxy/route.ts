/** Where the requests of one service go, as the request loop sees it. */
import type { Upstream } from "../upstream/upstream.ts";
import type { Hold } from "./hold.ts";

/** The present destination of a service's requests. */
export interface Route {
  /** The primary's connections, or undefined while there is none. */
  current(): Upstream | undefined;
  /** The hold for requests without a primary; open exactly while there is one. */
  whenServing(): Hold;
  /** The primary may be gone: another epoch may follow, however long that takes. Undefined: not known here. */
  readonly isDoubted?: boolean;
  /** Why the hold refuses everything; undefined: it does not. */
  maintenance?(): Maintenance | undefined;
}

/** Requests get the maintenance page on purpose. `untilMs`: the announced end, wall time; undefined: none. */
export interface Maintenance {
  readonly untilMs: number | undefined;
}
