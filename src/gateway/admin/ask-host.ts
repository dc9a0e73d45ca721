/** Questions to the hosts of a service that any of them can answer, because the answer is in the vault. */
import type { HostAnswer } from "../../control/host-client.ts";
import type { HostControl } from "../../control/host-control.ts";
import { ApiRefusal } from "../../control/server/refusal.ts";
import { describeRefusal } from "../../core/refusal.ts";
import type { ServiceRuntime } from "../service/service.ts";

export interface Question<T> {
  /** The hosts, in the order in which they are asked. */
  readonly hosts: readonly string[];
  /** Undefined: a plain host, which has no such call. */
  readonly call: (client: HostControl) => Promise<HostAnswer<T>> | undefined;
  /** Where the advice for a refusal is found. */
  readonly see: string;
}

/** Returns the first answer. Throws ApiRefusal if a host refuses, or none answers. */
export async function askHost<T extends object>(
  service: ServiceRuntime,
  { hosts, call, see }: Question<T>,
): Promise<T & { service: string; host: string }> {
  let why = "there is no host";
  for (const host of hosts) {
    const client = service.clientOf(host);
    const answer = client === undefined ? undefined : await call(client);
    if (answer?.kind === "ok") return { service: service.name, host, ...answer.value };
    if (answer?.kind === "refused-by-host")
      throw new ApiRefusal("refused-by-host", {
        found: `${host}: ${describeRefusal(answer.refusal)}`,
        advice: `see \`${see}\``,
      });
    why = `${host}: ${answer?.message ?? "a plain host captures nothing"}`;
  }
  throw new ApiRefusal("no-answer", {
    found: `no host that could tell answered (${why})`,
    advice: "try again when `stead status` shows the primary as up; hosts of an older version do not support it",
  });
}
