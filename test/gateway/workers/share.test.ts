import { expect, test } from "bun:test";
import { shareOf } from "../../../src/gateway/workers/share.ts";
import { defaultDataPlane } from "../../support/config/data-plane.ts";

test("the workers' bounds together are the gateway's, and what bounds one request, or counts connections, stays", () => {
  const settings = {
    listen: { host: "127.0.0.1", port: 0 },
    limits: { connectionsMax: 10_000, headBytesMax: 16_384, headersMax: 100, bodyBytesMax: 1_000_000, headMs: 5000, idleMs: 10_000, connectMs: 1000, firstByteMs: 5000 },
    hold: { requestsMax: 10, bytesMax: 1_000, timeMs: 30_000 },
    dataPlane: defaultDataPlane,
    replayAgainMax: 1,
    clientHalfClose: "gone" as const,
    services: [],
  };
  const share = shareOf(settings, 4);
  expect(share.limits).toEqual(settings.limits);
  expect(share.hold).toEqual({ requestsMax: 3, bytesMax: 250, timeMs: 30_000 });
  expect(share.dataPlane.releaseConcurrency).toBe(16);
  expect(share.dataPlane.limits).toEqual({ ...defaultDataPlane.limits, upstreamConnectionsMax: 256, upstreamWaitingMax: 2_500 });
});
