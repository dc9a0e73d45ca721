/**
 * Each worker's share of the bounds that hold for the gateway as a whole, so that all of them together keep to them.
 */
import type { PlaneSettings } from "../route/data-plane.ts";

/**
 * Divided, rounded up: what the hold takes, and what goes to one host at a time. Not divided: what bounds a single
 * request or connection, and how many connections there may be, in all and per address: a connection goes to whichever
 * worker is free, so a burst may go to one of them alone, which would refuse at its share while the others have room.
 */
export function shareOf<Settings extends PlaneSettings>(settings: Settings, workers: number): Settings {
  const share = (value: number): number => Math.ceil(value / workers);
  const { hold, dataPlane, limits } = settings;
  return {
    ...settings,
    hold: { ...hold, requestsMax: share(hold.requestsMax), bytesMax: share(hold.bytesMax) },
    dataPlane: { ...dataPlane, releaseConcurrency: share(dataPlane.releaseConcurrency) },
    limits: {
      ...limits,
      upstreamConnectionsMax: share(limits.upstreamConnectionsMax),
      upstreamWaitingMax: share(limits.upstreamWaitingMax),
    },
  };
}
