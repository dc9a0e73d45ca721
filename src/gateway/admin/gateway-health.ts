/**
 * Whether this gateway can serve: for load balancers and keepalived in front of several gateways.
 *
 * A gateway that routes is healthy, even while it doubts the primary: taking it out would not help a client, and every
 * other gateway has the same primary. A vault that no host has reached for a while makes it unhealthy, with that
 * reason: nothing is answered until the vault is back. A slow vault is reported, but healthy. A gateway that is out of
 * descriptors is unhealthy: it cannot serve another client, and others can. So is one whose secret is not that of the
 * others (secret-doubt.ts).
 */
import type { HealthAnswer } from "../../control/gateway-api.ts";
import { vaultInWords } from "../../core/failover/vault.ts";
import type { ServiceRuntime } from "../service/service.ts";
import type { SecretDoubt } from "./secret-doubt.ts";

export function healthOf(services: readonly ServiceRuntime[], secret: SecretDoubt): HealthAnswer {
  const ofSecret = secret.kind === "none" ? undefined : secret.text;
  const isStranger = secret.kind === "all" && secret.isAlone;
  const each = services.map((service) => {
    const { routed, vault } = service.state;
    const ofVault = vaultInWords(vault, service.now());
    const shortage = service.shortage.warning;
    const reasons = [routed.kind === "hold" ? routed.reason : undefined, ofVault, shortage, ofSecret].filter(
      (reason) => reason !== undefined,
    );
    const ok = routed.kind === "host" && vault.kind !== "away" && shortage === undefined && !isStranger;
    return { service: service.name, ok, reasons };
  });
  return { ok: !isStranger && each.every(({ ok }) => ok), services: each };
}
