/**
 * Queries the process of the former primary (R5): a proof that it is gone saves the wait for its lease.
 *
 * - Refused connection: no process listens at its control address (runtime/tcp/refusal.ts tells this from a connection
 *   that this process could not make). The gate lives in that process, so no byte leaves.
 * - Another run of the same host answers: it has the address now, so the earlier run has ended.
 * - The same instance says that it follows, restores or failed: it shut its gate before it said so, and it can only
 *   open it again with a new claim. Anything else, a time-out above all, proves nothing. Nor does an address that does
 *   not lead to that host: another host answers there (this one, when `advertise_control` was copied from its
 *   configuration), or it is a loopback address, which leads to this machine, and is believed only when this host's own
 *   is one as well: then all of them are on one machine. A network that answers with a reset in the name of a living
 *   host would defeat this; only reads within one lease are at stake, writes are fenced by the log
 *   (docs/ARCHITECTURE.md).
 */
import { request } from "node:http";
import * as v from "valibot";
import { bearer } from "../../control/bearer.ts";
import { isBaseUrl } from "../../core/base-url.ts";
import { answerBytesMax, judgeFailure } from "../../control/json-call.ts";
import { type HostRole, hostStatusSchema } from "../../control/host-status.ts";
import type { PredecessorProbe, PredecessorWord } from "../ports/ports.ts";

const goneRoles: readonly HostRole[] = ["restoring", "secondary", "failed"];
const answerMsMax = 400;

/** `ownControlUrl`: this host's own control address. */
export function predecessorProbe(secret: string, ownControlUrl: string): PredecessorProbe {
  return {
    ask: (predecessor, signal) =>
      new Promise<PredecessorWord>((resolve) => {
        const { controlUrl } = predecessor;
        // It comes from a record: an address that cannot be called proves nothing.
        if (!isBaseUrl(controlUrl) || (isLoopback(controlUrl) && !isLoopback(ownControlUrl))) {
          resolve({ kind: "unknown" });
          return;
        }
        const headers = { authorization: bearer(secret), connection: "close" };
        const asked = request(new URL("/v1/status", controlUrl), { headers, agent: false, signal }, (answer) => {
          let text = "";
          answer.setEncoding("utf8");
          answer.on("data", (chunk: string) => {
            text += chunk;
            if (text.length > answerBytesMax) asked.destroy();
          });
          answer.on("end", () => resolve(judge(text, predecessor)));
          answer.on("error", () => resolve({ kind: "unknown" }));
        });
        // A separate timer: the `timeout` of node:http does not count while connecting under Bun, and a silently
        // cut-off host would be waited for until the kernel gives up, minutes later.
        const timer = setTimeout(() => {
          resolve({ kind: "unknown" });
          asked.destroy();
        }, answerMsMax);
        let hasFailed = false;
        asked.once("error", (error: NodeJS.ErrnoException) => {
          hasFailed = true;
          judgeFailure(error, new URL(controlUrl), ({ kind }) =>
            resolve({ kind: kind === "refused" ? "gone" : "unknown" }),
          );
        });
        asked.once("close", () => {
          clearTimeout(timer);
          if (!hasFailed) resolve({ kind: "unknown" });
        });
        asked.end();
      }),
  };
}

const isLoopback = (url: string): boolean => /^(localhost|127\.|\[::1\])/.test(new URL(url).hostname);

function judge(
  text: string,
  { host, instance }: { readonly host: string; readonly instance: string },
): PredecessorWord {
  try {
    const status = v.parse(hostStatusSchema, JSON.parse(text));
    if (status.host !== host) return { kind: "unknown" };
    if (status.instance !== instance) return { kind: "gone" };
    return goneRoles.includes(status.role) ? { kind: "stepped-down" } : { kind: "unknown" };
  } catch {
    return { kind: "unknown" };
  }
}
