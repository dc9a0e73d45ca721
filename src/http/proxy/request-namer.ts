/** Names the requests of a data plane that must not be executed twice (core/request-names.ts). */
import { isIdempotent } from "../../core/replay.ts";
import type { NamedRequest } from "../../core/request-names.ts";
import type { Random } from "../../runtime/random.ts";
import type { RequestHead } from "../message/head.ts";
import type { Upstream } from "../upstream/upstream.ts";

export class RequestNamer {
  /** Random, since each run counts from 1. */
  readonly #run: string;
  #count = 0;
  readonly #named = new WeakMap<RequestHead, NamedRequest>();

  readonly #isOn: () => boolean;

  constructor(random: Random, isOn: () => boolean = () => true) {
    this.#isOn = isOn;
    this.#run = Buffer.from(random.bytes(8)).toString("hex");
  }

  /** The same name for each try. Undefined: it may be executed twice, or its upstream has no epochs. */
  readonly nameRequest = (request: RequestHead, upstream: Upstream): NamedRequest | undefined => {
    if (upstream.epoch === undefined || isIdempotent(request.method)) return undefined;
    const known = this.#named.get(request);
    if (known !== undefined) return known;
    if (!this.#isOn()) return undefined;
    const named = { run: this.#run, count: (this.#count += 1), after: upstream.logPosition, isAgain: false };
    this.#named.set(request, named);
    return named;
  };

  isNamed(request: RequestHead): boolean {
    return this.#named.has(request);
  }

  /** A try was lost with its host: from now on the request is executed only if that one has changed nothing. */
  onLost(request: RequestHead): void {
    const named = this.#named.get(request);
    if (named !== undefined) this.#named.set(request, { ...named, isAgain: true });
  }
}
