/** Asks a host what it is, past the gateway: the demo judges by the hosts' own word, not by the gateway's view of them. */
import * as v from "valibot";
import { type HostStatus, hostStatusSchema } from "../control/host-status.ts";
import { asJson, HttpCaller } from "./http-call.ts";

const statusTimeoutMs = 1000;

export class HostClient {
  readonly #caller = new HttpCaller(4);
  readonly #secret: string;

  constructor(secret: string) {
    this.#secret = secret;
  }

  /** Undefined when it does not answer, or not with a status. */
  async status(controlUrl: string): Promise<HostStatus | undefined> {
    try {
      const answer = await this.#caller.call({
        method: "GET",
        url: `${controlUrl}/v1/status`,
        headers: { Authorization: `Bearer ${this.#secret}` },
        timeoutMs: statusTimeoutMs,
      });
      const parsed = v.safeParse(hostStatusSchema, asJson(answer.text));
      return answer.status === 200 && parsed.success ? parsed.output : undefined;
    } catch {
      return undefined; // A host that does not answer is what the demo is about.
    }
  }

  close(): void {
    this.#caller.close();
  }
}
