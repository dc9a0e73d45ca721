/**
 * One request at a gateway, for the real `Proxy` (src/http/proxy/proxy.ts): forwarded and answered on simulated
 * connections.
 */
import type { LossCause } from "../../src/core/replay.ts";
import type {
  Exchange,
  ForwardOptions,
  ForwardOutcome,
  ForwardUser,
  LocalReply,
  RequestHead,
} from "../../src/http/upstream/exchange.ts";
import { HeaderList } from "../../src/http/message/headers.ts";
import { Upstream, type UpstreamOptions } from "../../src/http/upstream/upstream.ts";
import { type Answer, methodOf, pathOf, type Request } from "./messages.ts";
import { dial, type Network, type ServerEnd } from "./network.ts";
import { hostOf } from "./sim-host.ts";
import type { SimMachine } from "./sim-machine.ts";
import type { SimProcess } from "./sim-process.ts";

const noFields = new HeaderList();
const okHead = { status: 200, reason: "OK", version: "1.1", headers: noFields } as const;

/** The connections to one host in one epoch: what is on them is cut when it is closed. */
export class SimUpstream extends Upstream {
  readonly machine: SimMachine;
  readonly cuts = new Set<(reason: string) => void>();

  constructor(options: UpstreamOptions, machine: SimMachine) {
    super(options);
    this.machine = machine;
  }

  override abort(reason: string): void {
    super.abort(reason);
    for (const cut of [...this.cuts]) cut(reason);
  }
}

export interface ExchangePorts {
  readonly network: Network;
  readonly process: SimProcess;
  readonly firstByteMs: number;
  readonly request: Request;
  readonly client: ServerEnd<Answer>;
  readonly onDefect: (error: unknown) => void;
}

export class SimExchange implements Exchange {
  readonly request: RequestHead;
  readonly remoteAddress = "127.0.0.1";
  readonly remotePort = 1;
  readonly client = {};
  readonly isSecure = false;
  readonly requestId: string;
  readonly bodyBytes = 0;
  readonly bodyBytesHeldMax = 0;
  readonly isBodyHeld = true;
  hasResponseStarted = false;
  readonly #ports: ExchangePorts;
  #isGone = false;
  /** Created when it is asked for: a request that is forwarded at once needs none. */
  #gone: AbortController | undefined;
  #onGone: (() => void) | undefined;

  constructor(ports: ExchangePorts) {
    this.#ports = ports;
    this.request = {
      method: methodOf(ports.request),
      target: `${pathOf(ports.request)}?id=${ports.request.id}`,
      version: "1.1",
      headers: noFields,
    };
    this.requestId = String(ports.request.id);
    ports.client.onClose(() => {
      this.#isGone = true;
      this.#onGone?.();
      this.#gone?.abort(new Error("the client is gone"));
    });
  }

  get clientGone(): AbortSignal {
    this.#gone ??= new AbortController();
    if (this.#isGone) this.#gone.abort(new Error("the client is gone"));
    return this.#gone.signal;
  }

  get isClientGone(): boolean {
    return this.#isGone;
  }

  wholeBody(): Promise<readonly Buffer[]> {
    return Promise.resolve([]);
  }

  respond(response: LocalReply): Promise<void> {
    const outcome = response.headers?.find(([name]) => name === "Stead-Outcome")?.[1];
    if (outcome !== "not-executed" && outcome !== "unknown")
      throw new Error(`a response with status ${response.status} and without an outcome`);
    this.#answer({ kind: outcome, reason: String(response.body) });
    return Promise.resolve();
  }

  forward(upstream: Upstream, options: ForwardOptions): Promise<ForwardOutcome> {
    if (!(upstream instanceof SimUpstream)) throw new Error("an upstream of another world");
    if (this.#isGone) return Promise.resolve({ kind: "client-gone" });
    if (upstream.isClosed) return Promise.resolve({ kind: "not-sent", reason: "the upstream is closed" });
    const { network, process, firstByteMs } = this.#ports;
    const named = options.nameRequest?.(this.request, upstream);
    const request = { ...this.#ports.request, epoch: upstream.epoch, named };
    return new Promise((resolve) => {
      const settle = (outcome: ForwardOutcome): void => {
        timer.cancel();
        upstream.cuts.delete(cut);
        this.#onGone = undefined;
        dialled.abort();
        resolve(outcome);
      };
      const lost = (reason: string, cause: LossCause = "host-lost"): void =>
        settle({ kind: "lost", released: false, bodyHeld: true, reused: false, cause, reason });
      const timer = process.clock.setTimer(firstByteMs, () => lost("no answer in time", "timed-out"));
      const cut = (reason: string): void => lost(reason);
      upstream.cuts.add(cut);
      this.#onGone = () => settle({ kind: "client-gone" });
      const dialled = dial<Answer>({
        ...{ network, client: process, from: process.name, to: upstream.machine, label: request.kind },
        serve: (host, end) => hostOf(host)?.request(request, end),
        onLine: (answer) => {
          if (answer.kind === "not-executed")
            return settle({ kind: "not-executed", bodyHeld: true, reason: answer.reason });
          if (answer.kind === "put-aside")
            return settle({ kind: "put-aside", retryAfterSeconds: 1, reason: answer.reason });
          if (answer.kind === "unknown" && answer.cause === "invalid")
            return settle({ kind: "upstream-invalid", reason: answer.reason });
          if (answer.kind === "unknown")
            return lost(
              answer.reason,
              answer.cause === "closed" || answer.cause === "in-doubt" ? answer.cause : "application-ended",
            );
          options.editResponseFields?.(okHead);
          this.#answer(answer);
          settle({ kind: "completed", status: 200 });
        },
        onEnd: (how) => (how === "refused" ? settle({ kind: "not-sent", reason: how }) : lost(how)),
      });
    });
  }

  forwardTo(upstream: Upstream, options: ForwardOptions, user: ForwardUser): void {
    this.forward(upstream, options)
      .then((outcome) => user.onOutcome(this, upstream, outcome))
      .catch(this.#ports.onDefect);
  }

  abort(): void {
    this.#ports.client.reset();
  }

  #answer(answer: Answer): void {
    this.hasResponseStarted = true;
    this.#ports.client.answer(answer);
  }
}
