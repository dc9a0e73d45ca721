/**
 * Asks the process of the former primary whether it is still there (R5): a proof spares the wait for its lease.
 *
 * - Refused connection: no process listens at its control address. The gate lives in that process, so no byte leaves.
 * - Another instance answers: the address belongs to a later run; the earlier one has ended.
 * - The same instance says that it follows, restores or failed: it shut its gate before it said so, and it can only open
 *   it again with a new claim.
 * Anything else, a time-out above all, proves nothing. A network that answers with a reset in the name of a living host
 * would deceive this; only reads within one lease are at stake, writes are fenced by the log (docs/ARCHITECTURE.md).
 */
import { request } from "node:http";
import * as v from "valibot";
import { type HostRole, hostStatusSchema } from "../control/host-status.ts";
import type { PredecessorProbe, PredecessorWord } from "./ports.ts";

const goneRoles: readonly HostRole[] = ["restoring", "secondary", "failed"];
const answerMsMax = 400;

export function predecessorProbe(secret: string): PredecessorProbe {
  return {
    ask: (controlUrl, instance, signal) =>
      new Promise<PredecessorWord>((resolve) => {
        const headers = { authorization: `Bearer ${secret}`, connection: "close" };
        const asked = request(new URL("/v1/status", controlUrl), { headers, agent: false, signal }, (answer) => {
          let text = "";
          answer.setEncoding("utf8");
          answer.on("data", (chunk: string) => (text += chunk));
          answer.on("end", () => resolve(judge(text, instance)));
          answer.on("error", () => resolve({ kind: "unknown" }));
        });
        // A timer of our own: the `timeout` of node:http does not count while connecting under Bun, and a host that was cut
        // off by silence would be waited for until the kernel gives up, minutes later.
        const timer = setTimeout(() => {
          resolve({ kind: "unknown" });
          asked.destroy();
        }, answerMsMax);
        asked.once("error", (error: NodeJS.ErrnoException) => resolve({ kind: error.code === "ECONNREFUSED" ? "gone" : "unknown" }));
        asked.once("close", () => {
          clearTimeout(timer);
          resolve({ kind: "unknown" });
        });
        asked.end();
      }),
  };
}

function judge(text: string, instance: string): PredecessorWord {
  try {
    const status = v.parse(hostStatusSchema, JSON.parse(text));
    if (status.instance !== instance) return { kind: "gone" };
    return goneRoles.includes(status.role) ? { kind: "stepped_down" } : { kind: "unknown" };
  } catch {
    return { kind: "unknown" };
  }
}
