/** The configured limits as those of the front's listener and of its connections to the application; a gateway is one address with all clients behind it. */
import type { HttpLimits } from "../../config/types.ts";
import type { HttpLimits as ServerLimits } from "../../http/limits.ts";

export const frontLimits = (limits: HttpLimits): Partial<ServerLimits> => ({
  connectionsMax: limits.connectionsMax,
  connectionsPerAddressMax: limits.connectionsMax,
  headBytesMax: limits.headBytesMax,
  headerCountMax: limits.headersMax,
  bodyBytesMax: limits.bodyBytesMax,
  headArrivalMs: limits.headMs,
  idleMs: limits.idleMs,
  connectMs: limits.connectMs,
  firstByteMs: limits.firstByteMs,
});
