/**
 * The base of both APIs: a Hono app that answers thrown errors and unknown calls as refusals (refused.ts). Add to it,
 * in this order: routes that need no credentials, `authenticate`, `limitBody`, and the calls, with `jsonBody` for those
 * that have a body.
 *
 * @example
 * const app = createApi({ part: "host", manual: "docs/CONTROL-API.md", log });
 * app.use(authenticate(clusterSecret(secret)), limitBody());
 * app.post("/v1/removed", jsonBody(removalSchema), (c) => c.json(remove(c.req.valid("json").gateway)));
 */
import { Hono } from "hono";
import type { Logger } from "../../runtime/log.ts";
import type { Authenticated } from "./authentication.ts";
import { ApiRefusal, asRefusal, answerRefusal } from "./refusal.ts";

export interface ApiOptions {
  /** The owner of the API. */
  readonly part: "gateway" | "host";
  /** The document that describes its calls. */
  readonly manual: string;
  /** Gets the stack of a defect; the client gets only its message. */
  readonly log: Logger;
}

export type Api = Hono<Authenticated>;

export function createApi({ part, manual, log }: ApiOptions): Api {
  const app: Api = new Hono();
  app.onError(function answerThrown(error, c) {
    const refusal = asRefusal(error, part);
    if (refusal.code === "defect")
      log.error("a call ended with a defect", { call: `${c.req.method} ${c.req.path}`, detail: error.stack ?? "" });
    return answerRefusal(c, refusal);
  });
  app.notFound(function answerUnknown(c) {
    return answerRefusal(
      c,
      new ApiRefusal("no-such-call", { found: "no such call", advice: `see ${manual} for the calls` }),
    );
  });
  return app;
}
