/**
 * What a host says instead of a response of its application: 503 with `Stead-Outcome: not-executed`, or 502 with
 * `Stead-Outcome: unknown`. It decides about a replay, so it is only believed of a host, never of an application.
 */
import type { ResponseHead } from "./head.ts";

export type HostVerdict = "not_executed" | "unknown";

export function hostVerdict(response: ResponseHead): HostVerdict | undefined {
  if (response.status !== 503 && response.status !== 502) return undefined;
  const outcome = response.headers.get("stead-outcome");
  if (response.status === 503 && outcome === "not-executed") return "not_executed";
  return response.status === 502 && outcome === "unknown" ? "unknown" : undefined;
}
