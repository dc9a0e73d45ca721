/** The log of a host, and its application's output, in the admin API: the host has it. */
import { type LogAnswer, logRequestSchema } from "../../control/log-api.ts";
import type { Api } from "../../control/server/api.ts";
import { jsonBody } from "../../control/server/body.ts";
import type { ServiceRuntime } from "../service/service.ts";
import { askHost } from "./ask-host.ts";
import { unknownHost } from "./hosts.ts";

export function addLogs(app: Api, find: (service: string | undefined) => ServiceRuntime): void {
  app.post("/v1/logs", jsonBody(logRequestSchema), async (c) => {
    const { service: name, host, ...question } = c.req.valid("json");
    const service = find(name);
    if (service.clientOf(host) === undefined) throw unknownHost(host);
    const answer: LogAnswer = await askHost(service, {
      hosts: [host],
      call: (client) => client.log?.(question, c.req.raw.signal),
      see: "stead status",
    });
    return c.json(answer);
  });
}
