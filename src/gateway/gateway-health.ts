/**
 * Whether this gateway can serve: for load balancers and keepalived in front of several gateways.
 *
 * A gateway that routes somewhere is well, also while it doubts the primary: taking it out would not help a client, and
 * every other gateway has the same primary.
 */
import type { HealthAnswer } from "../control/gateway-api.ts";
import type { ServiceRuntime } from "./service.ts";

export function healthOf(services: readonly ServiceRuntime[]): HealthAnswer {
  const each = services.map((service) => {
    const { routed } = service.state;
    const reasons = routed.kind === "hold" ? [routed.reason] : [];
    return { service: service.name, ok: reasons.length === 0, reasons };
  });
  return { ok: each.every(({ ok }) => ok), services: each };
}
