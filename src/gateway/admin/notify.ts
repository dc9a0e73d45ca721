/** Tests of the targets of `[[notify]]` in the admin API. */
import { notifyTestRequestSchema, type NotifyTestAnswer } from "../../control/notify-api.ts";
import type { GatewayConfig } from "../../config/types.ts";
import type { Api } from "../../control/server/api.ts";
import { jsonBody } from "../../control/server/body.ts";
import { ApiRefusal } from "../../control/server/refusal.ts";
import type { Notifier } from "../notify/notifier.ts";

export interface NotifyTestTarget {
  readonly config: Pick<GatewayConfig, "id">;
  readonly notifier: Pick<Notifier, "test" | "status">;
}

export function addNotify(app: Api, target: NotifyTestTarget): void {
  app.post("/v1/notify/test", jsonBody(notifyTestRequestSchema), async (c) => {
    const { target: wanted } = c.req.valid("json");
    const { notifier } = target;
    const names = notifier.status().map(({ name }) => name);
    if (names.length === 0)
      throw new ApiRefusal("unknown-target", {
        found: "this gateway has no target to tell",
        advice: "add [[notify]] to its configuration, and restart it",
      });
    if (wanted !== null && !names.includes(wanted))
      throw new ApiRefusal("unknown-target", {
        found: `this gateway has no target "${wanted}"`,
        accepted: names.join(", "),
        advice: "name one of these, or none for all",
      });
    const outcomes = await notifier.test(wanted ?? undefined);
    const results = outcomes.map((outcome) => ({
      target: outcome.target,
      failure: outcome.kind === "told" ? null : outcome.why,
    }));
    return c.json({ gateway: target.config.id, results } satisfies NotifyTestAnswer);
  });
}
