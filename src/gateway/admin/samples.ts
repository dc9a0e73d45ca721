/** The last hour of a service, in the admin API. */
import type { SamplesAnswer } from "../../control/samples-api.ts";
import type { Api } from "../../control/server/api.ts";
import type { ServiceRuntime } from "../service/service.ts";

export interface SamplesTarget {
  readonly samples: { of(service: string): SamplesAnswer };
}

export function addSamples(app: Api, { samples }: SamplesTarget, find: (service: string) => ServiceRuntime): void {
  app.get("/v1/samples/:service", (c) => c.json(samples.of(find(c.req.param("service")).name)));
}
