/** Each worker's share of the bounds that hold for the gateway as a whole, so that all of them together keep to them. */
import type { PlaneSettings } from "../plane.ts";

/**
 * Divided, rounded up: connections, what the hold takes, and what goes to one host at a time. Not divided: what bounds a single
 * request or connection, and `connectionsPerAddressMax`, because the system spreads an address's connections at random:
 * an address may have that many on each worker.
 */
export function shareOf<Settings extends PlaneSettings>(settings: Settings, workers: number): Settings {
  const share = (value: number): number => Math.ceil(value / workers);
  const { limits, hold, dataPlane } = settings;
  return {
    ...settings,
    limits: { ...limits, connectionsMax: share(limits.connectionsMax) },
    hold: { ...hold, requestsMax: share(hold.requestsMax), bytesMax: share(hold.bytesMax) },
    dataPlane: {
      ...dataPlane,
      releaseConcurrency: share(dataPlane.releaseConcurrency),
      limits: {
        ...dataPlane.limits,
        upstreamConnectionsMax: share(dataPlane.limits.upstreamConnectionsMax),
        upstreamWaitingMax: share(dataPlane.limits.upstreamWaitingMax),
      },
    },
  };
}
