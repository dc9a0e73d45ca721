/** The peers' part of the admin listener: `POST /v1/peer/sync`, and the list of gateways for operators. */
import type { Context } from "hono";
import { peerMessageBytesMax, peerMessageSchema, type PeerRefusal, peerSyncPath } from "../../control/peer-api.ts";
import type { GatewayList } from "../../control/gateway-api.ts";
import type { Api } from "../../control/server/api.ts";
import { limitBody, readJson } from "../../control/server/body.ts";
import { ApiRefusal } from "../../control/server/refusal.ts";
import type { Peers } from "./peers.ts";
import { withNulls } from "../../control/nulls.ts";

/** Mounted after the authentication and before the limit of other bodies: messages of peers may be longer. */
export function addPeerSync(app: Api, peers: Peers): void {
  app.post(peerSyncPath, limitBody(peerMessageBytesMax), async (c) => {
    const message = await readJson(c, peerMessageSchema);
    // Probably a message of another version: refused as part of the protocol, not as a malformed request.
    if (message.kind === "malformed") return c.json(wrongFormat(message.found), 409);
    const answer = peers.handle(message.value);
    return "reason" in answer ? c.json(answer, 409) : c.json(answer);
  });
}

/** The list of gateways, for operators. */
export function addGatewayRoutes(app: Api, peers: Peers): void {
  app.get("/v1/gateways", (c) => list(c, peers));
  app.delete("/v1/gateways/:id", (c) => {
    const id = c.req.param("id");
    const answer = peers.remove(id);
    switch (answer.kind) {
      case "removed":
        return list(c, peers);
      case "unknown":
        throw new ApiRefusal("unknown-gateway", {
          found: `there is no gateway "${id}"`,
          advice: "see `stead gateways list`",
        });
      case "self":
        throw new ApiRefusal("conflict", {
          found: `${id} is this gateway`,
          advice: "ask another gateway to remove it, with --gateway",
        });
    }
  });
}

const wrongFormat = (found: string): PeerRefusal => ({
  reason: "format",
  error: `the message is not of a format that this gateway knows: ${found}`,
  advice: "upgrade all gateways to one version",
});

function list(c: Context, peers: Peers): Response {
  const answer: GatewayList = {
    gateways: peers.status().map(withNulls),
    registered: peers.registered.length,
    troubles: [...peers.warnings],
  };
  return c.json(answer);
}
