/** What a gateway says about the secret: who disagrees about it, and who is not ready for the end of the former one. */
import type { ClusterSecrets } from "../config/cluster-secrets.ts";
import type { Keyring } from "../control/channel/keyring.ts";
import { knowsSecret } from "../control/secret-status.ts";
import type { SecretDoubt } from "./admin/secret-doubt.ts";
import type { HostMonitor } from "./service/monitor.ts";
import { isPlain } from "./service/plain-host.ts";
import type { ServiceRuntime } from "./service/service.ts";

/** `monitor`: undefined where nothing watches it yet. */
export interface SteadHost {
  readonly service: string;
  readonly host: string;
  readonly monitor: HostMonitor | undefined;
}

/** Plain hosts know no secret. */
export const steadHosts = (services: readonly ServiceRuntime[]): readonly SteadHost[] =>
  services.flatMap((service) =>
    [...service.state.hosts.values()]
      .filter(({ controlUrl }) => !isPlain(controlUrl))
      .map(({ id }) => ({ service: service.name, host: id, monitor: service.monitorOf(id) })),
  );

export interface SecretKnowledge {
  readonly doubt: SecretDoubt;
  readonly secrets: Pick<ClusterSecrets, "place" | "former">;
  readonly keyring: Pick<Keyring, "keys">;
  readonly hosts: readonly SteadHost[];
}

export function secretWarnings(view: SecretKnowledge): readonly string[] {
  const { doubt, secrets } = view;
  const ofOthers =
    doubt.kind === "none"
      ? []
      : doubt.kind === "some"
        ? [`${doubt.text}: correct it there`]
        : [`${doubt.text}. Put the cluster's secret in place of it (${secrets.place})`];
  return [...ofOthers, ...rotationWarnings(view)];
}

function rotationWarnings({ secrets: { former }, keyring, hosts }: SecretKnowledge): readonly string[] {
  const [first] = keyring.keys;
  if (former === undefined || first === undefined) return [];
  const behind = hosts
    .filter(({ monitor }) => !knowsSecret(monitor?.status?.secret, first.id))
    .map(({ service, host }) => `host ${host} of ${service}`);
  const until = new Date(former.untilMs).toISOString();
  return behind.length === 0
    ? []
    : [
        `the secret is rotated, the former one ends at ${until}, and not known to have read the new one: ${behind.join(", ")}; \`stead secret rotate --status\` says what to do`,
      ];
}
