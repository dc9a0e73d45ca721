/** The evidence about an application that is killed as stuck, for a later investigation. */
import type { OpenRequest } from "./open-requests.ts";
import { describeActivity } from "./activity.ts";

/** Largest number of open requests named. */
export const requestsShown = 10;

/** Describes its processes and unanswered requests in one line, before it is killed. */
export function stuckEvidence(leader: number, openRequests: number, oldest: readonly OpenRequest[]): string {
  const requests = oldest.map(({ method, path, ageMs }) => `${method} ${path} for ${(ageMs / 1000).toFixed(1)} s`);
  const open =
    openRequests === 0 ? "no request is open" : `open requests: ${openRequests}, the oldest: ${requests.join(", ")}`;
  return `processes: ${describeActivity(leader).join("; ")}; ${open}`;
}
