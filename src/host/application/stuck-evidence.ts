/**
 * What is said of an application that is killed because it is stuck, so that somebody can find out later why it was.
 */
import type { OpenRequest } from "./open-requests.ts";
import { describeActivity } from "./activity.ts";

/** Open requests that are named. */
export const requestsShown = 10;

/** One line: its processes, and the requests that it has not answered. Before it is killed. */
export function stuckEvidence(leader: number, openRequests: number, oldest: readonly OpenRequest[]): string {
  const requests = oldest.map(({ method, path, ageMs }) => `${method} ${path} for ${(ageMs / 1000).toFixed(1)} s`);
  const open =
    openRequests === 0 ? "no request is open" : `open requests: ${openRequests}, the oldest: ${requests.join(", ")}`;
  return `processes: ${describeActivity(leader).join("; ")}; ${open}`;
}
