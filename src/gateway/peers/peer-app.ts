/** The peers' part of the admin listener: `POST /v1/peer/sync`, and the list of gateways for operators. */
import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import * as v from "valibot";
import { peerMessageBytesMax, peerMessageSchema, type PeerRefusal } from "../../control/peer-api.ts";
import type { GatewayList, Refused } from "../../control/gateway-api.ts";
import type { Peers } from "./peers.ts";

/** Adds the routes; the check of the secret stands before them already. */
export function addPeerRoutes(app: Hono, peers: Peers): void {
  const tooLarge: Refused = {
    error: "the message is too large",
    advice: `at most ${peerMessageBytesMax} bytes are accepted`,
  };
  app.post(
    "/v1/peer/sync",
    bodyLimit({ maxSize: peerMessageBytesMax, onError: (c) => c.json(tooLarge, 413) }),
    async (c) => {
      const parsed = v.safeParse(peerMessageSchema, await c.req.json<unknown>().catch(() => null));
      if (!parsed.success) {
        const refusal: PeerRefusal = {
          reason: "format",
          error: `the message is not of a format that this gateway knows: ${v.summarize(parsed.issues)}`,
          advice: "bring all gateways to one version",
        };
        return c.json(refusal, 409);
      }
      const answer = peers.handle(parsed.output);
      return "reason" in answer ? c.json(answer, 409) : c.json(answer);
    },
  );
  app.get("/v1/gateways", (c) => list(c, peers));
  app.delete("/v1/gateways/:id", (c) => {
    const id = c.req.param("id");
    const answer = peers.remove(id);
    switch (answer.kind) {
      case "removed":
        return list(c, peers);
      case "unknown":
        return c.json(
          { error: `there is no gateway "${id}"`, advice: "see `stead gateways list`" } satisfies Refused,
          404,
        );
      case "self":
        return c.json(
          {
            error: `${id} is this gateway`,
            advice: "ask another gateway to remove it, with --gateway",
          } satisfies Refused,
          409,
        );
    }
  });
}

function list(c: Context, peers: Peers): Response {
  const answer: GatewayList = {
    gateways: peers.status().map((each) => ({ ...each })),
    registered: peers.registered.length,
    troubles: [...peers.troubles],
  };
  return c.json(answer);
}
