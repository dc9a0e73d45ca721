/**
 * Whether a drill lost a write: small writes, each with a token of its own, go through the clients' way before the
 * primary is taken away and until the service is back. Each that was acknowledged is then read back.
 *
 * The recovery point is 0 if all are there. Otherwise it is how long before the last acknowledgement the oldest lost
 * one was acknowledged.
 */
import type { DrillProbeConfig } from "../../config/types.ts";
import type { Clock } from "../../runtime/clock.ts";
import { messageOf } from "../../runtime/operator-error.ts";

const writeEveryMs = 200;
/** One that is held during the failover may take as long as the gateway holds it. */
const answerMsMax = 30_000;
const writesMax = 300;
const readTries = 3;
const readAgainMs = 500;
const answerBytesMax = 1024 * 1024;

export interface ProbeCall {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}
export interface ProbeAnswer {
  readonly status: number;
  readonly text: string;
}
/** Throws if there was no answer. */
export type CallProbe = (call: ProbeCall, signal: AbortSignal) => Promise<ProbeAnswer>;

/** `lost`: acknowledged, and not there. `unread`: acknowledged, and no answer says whether they are. */
export interface ProbeResult {
  readonly writes: number;
  readonly lost: number;
  readonly unread: number;
  readonly rpoMs: number | undefined;
}

interface Acknowledged {
  readonly token: string;
  readonly at: number;
}

export class DrillProbe {
  readonly #config: DrillProbeConfig;
  readonly #drill: string;
  readonly #clock: Clock;
  readonly #call: CallProbe;
  readonly #acknowledged: Acknowledged[] = [];
  readonly #stop = new AbortController();
  #writing: Promise<void> = Promise.resolve();
  #last = 0;

  constructor(config: DrillProbeConfig, drill: string, { clock, call }: { readonly clock: Clock; call: CallProbe }) {
    this.#config = config;
    this.#drill = drill;
    this.#clock = clock;
    this.#call = call;
  }

  /** Writes and reads once. Returns why the drill could not tell anything; undefined: writes continue until `close`. */
  async begin(): Promise<string | undefined> {
    const { url, read } = this.#config;
    const failure = await this.#write();
    if (failure !== undefined) return `the probe write to ${url} ${failure}: see service.objective.probe`;
    const [first] = this.#acknowledged;
    if (first !== undefined && (await this.#look(first)) !== "there")
      return `what the probe wrote to ${url} is not in the answer of ${read}: see service.objective.probe`;
    this.#writing = this.#continue();
    return undefined;
  }

  /** Ends the writes, and reads all that were acknowledged. */
  async close(): Promise<ProbeResult> {
    this.#stop.abort();
    await this.#writing;
    const looks = await Promise.all(this.#acknowledged.map((write) => this.#look(write)));
    const lost = this.#acknowledged.filter((_, index) => looks[index] === "lost");
    const unread = looks.filter((look) => look === "unread").length;
    const lastAt = this.#acknowledged.at(-1)?.at ?? 0;
    const [oldest] = lost;
    const rpoMs = oldest !== undefined ? Math.max(1, lastAt - oldest.at) : unread > 0 ? undefined : 0;
    return { writes: this.#acknowledged.length, lost: lost.length, unread, rpoMs };
  }

  async #continue(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted && this.#last < writesMax) {
      await this.#clock.sleep(writeEveryMs, signal).catch(() => undefined);
      // One that is refused while there is no primary was not acknowledged, and is not read back.
      if (!signal.aborted) await this.#write();
    }
  }

  /** Returns why it was not acknowledged. */
  async #write(): Promise<string | undefined> {
    const { url, method, body, headers } = this.#config;
    const token = `${this.#drill}.${++this.#last}`;
    const answer = await this.#ask({ url: withToken(url, token), method, headers, body: withToken(body, token) });
    if (typeof answer === "string") return answer;
    if (answer.status < 200 || answer.status > 299) return `was answered with ${answer.status}`;
    this.#acknowledged.push({ token, at: this.#clock.now() });
    return undefined;
  }

  async #look({ token }: Acknowledged): Promise<"there" | "lost" | "unread"> {
    const { read, headers } = this.#config;
    for (let tries = 1; ; tries++) {
      const answer = await this.#ask({ url: withToken(read, token), method: "GET", headers, body: undefined });
      if (typeof answer !== "string" && answer.status < 500) return answer.text.includes(token) ? "there" : "lost";
      if (tries === readTries) return "unread";
      await this.#clock.sleep(readAgainMs);
    }
  }

  async #ask(call: ProbeCall): Promise<ProbeAnswer | string> {
    const over = new AbortController();
    const timer = this.#clock.setTimer(answerMsMax, () => over.abort(new Error("there was no answer in time")));
    try {
      return await this.#call(call, over.signal);
    } catch (error) {
      return `failed (${messageOf(error)})`;
    } finally {
      timer.cancel();
    }
  }
}

const withToken = (text: string, token: string): string => text.replaceAll("{token}", token);

/** Over HTTP, without following redirects. */
export const callProbe: CallProbe = async ({ url, method, headers, body }, signal) => {
  const response = await fetch(url, {
    method,
    headers,
    redirect: "manual",
    signal,
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  return { status: response.status, text: text.slice(0, answerBytesMax) };
};
