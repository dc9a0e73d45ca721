import { expect, test } from "bun:test";
import { shareOf } from "../../../src/gateway/workers/share.ts";
import { defaultDataPlane, defaultGatewayLimits } from "../../support/config/data-plane.ts";

test("the workers' bounds add up to the gateway's; a bound of one request, or of a client's connections, stays as it is", () => {
  const settings = {
    id: "g",
    cluster: { name: "stead", acceptBearer: false },
    listen: { host: "127.0.0.1", port: 0 },
    limits: defaultGatewayLimits,
    hold: { requestsMax: 10, bytesMax: 1_000, timeMs: 30_000 },
    dataPlane: defaultDataPlane,
    replayAgainMax: 1,
    replayWrites: "never" as const,
    replaySpool: { bytesMax: 1_001, folder: "/var/spool" },
    answerWholeBytesMax: 65_536,
    clientHalfClose: "gone" as const,
    services: [],
  };
  const share = shareOf(settings, 4);
  expect(share.hold).toEqual({ requestsMax: 3, bytesMax: 250, timeMs: 30_000 });
  expect(share.replaySpool).toEqual({ bytesMax: 251, folder: "/var/spool" });
  expect(share.dataPlane.releaseConcurrency).toBe(16);
  expect(share.limits).toEqual({ ...defaultGatewayLimits, upstreamConnectionsMax: 256, upstreamWaitingMax: 2_500 });
});
