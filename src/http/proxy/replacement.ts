/**
 * The wait of a request that was lost with its primary, and may be executed only in another epoch (core/replay.ts).
 *
 * A healthy host keeps its epoch, so the wait is short while the primary that lost the request is seen serving. While
 * it is doubted another one may follow, although the route stays for want of a better one and the hold is open: the
 * replacement may have to wait for the brake, for agreement, or for a candidate. Whatever lost the request has made the
 * primary doubtful (a connection error is reported to the control plane before this wait begins), so it is not taken
 * for healthy for what was seen of it before.
 */
import type { Clock } from "../../runtime/clock.ts";
import type { Exchange } from "../upstream/exchange.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { Route } from "./route.ts";

/** How long a primary must be seen serving until it counts as one that stays. */
const steadyMs = 3_000;
const lookMs = 20;

/**
 * Resolves with true once the service is served in an epoch other than that of `lostOn`; with false if it is not:
 * the primary stays, the client is gone, or it is `untilMs` by the monotonic clock.
 */
export async function isReplaced(
  route: Route,
  clock: Clock,
  lostOn: Upstream,
  { clientGone }: Pick<Exchange, "clientGone">,
  untilMs: number,
): Promise<boolean> {
  let steadyAtMs = clock.now() + steadyMs;
  for (;;) {
    const current = route.current();
    if (current !== undefined && !isSameTerm(current, lostOn)) return true;
    const isServing = current !== undefined && route.isDoubted !== true && route.whenServing().isPassable;
    if (!isServing) steadyAtMs = clock.now() + steadyMs;
    if (clientGone.aborted || clock.now() >= Math.min(steadyAtMs, untilMs)) return false;
    await clock.sleep(lookMs);
  }
}

/** Nothing of one term executes twice in another (docs/PROTOCOL.md, "replay-own-epoch"); a plain host has none. */
export const isSameTerm = (a: Upstream, b: Upstream): boolean =>
  a === b || (a.epoch !== undefined && a.epoch === b.epoch);
