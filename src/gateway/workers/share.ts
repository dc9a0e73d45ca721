/** Each worker's share of the gateway's bounds, so that all workers together stay within them. */
import type { DataPlaneSettings } from "../route/listener.ts";

/**
 * Divided, rounded up: the bounds of the hold, of the spool, and of connections to one host. Not divided: the bounds of
 * a single request or connection, and the number of connections in all and per address. A connection goes to whichever
 * worker is free, so a burst may go to a single worker, which would refuse at its share while the others have room.
 */
export function shareOf<Settings extends DataPlaneSettings>(settings: Settings, workers: number): Settings {
  const share = (value: number): number => Math.ceil(value / workers);
  const { hold, dataPlane, limits, replaySpool } = settings;
  return {
    ...settings,
    replaySpool: { ...replaySpool, bytesMax: share(replaySpool.bytesMax) },
    hold: { ...hold, requestsMax: share(hold.requestsMax), bytesMax: share(hold.bytesMax) },
    dataPlane: { ...dataPlane, releaseConcurrency: share(dataPlane.releaseConcurrency) },
    limits: {
      ...limits,
      upstreamConnectionsMax: share(limits.upstreamConnectionsMax),
      upstreamWaitingMax: share(limits.upstreamWaitingMax),
    },
  };
}
