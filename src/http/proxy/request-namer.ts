/** Names the requests of a data plane that must not be executed twice (core/request-names.ts). */
import { createHash } from "node:crypto";
import { isIdempotent } from "../../core/replay.ts";
import type { NamedRequest } from "../../core/request-names.ts";
import type { Random } from "../../runtime/random.ts";
import type { RequestHead } from "../message/head.ts";
import type { Upstream } from "../upstream/upstream.ts";

export const keyField = "idempotency-key";
const [runBytes, countBytes] = [8, 6];

/** 112 bits of the key's hash: two keys have one name as seldom as two random ones. */
function nameOfKey(key: string): Pick<NamedRequest, "run" | "count" | "isKeyed"> {
  const hash = createHash("sha256").update(key, "latin1").digest();
  return { run: hash.toString("hex", 0, runBytes), count: hash.readUIntBE(runBytes, countBytes), isKeyed: true };
}

export class RequestNamer {
  /** Random, since each run counts from 1. */
  readonly #run: string;
  #count = 0;
  readonly #named = new WeakMap<RequestHead, NamedRequest>();

  readonly #isOn: () => boolean;
  readonly #isKeyed: () => boolean;

  /** `isKeyed`: requests with an `Idempotency-Key` are named by it, by every gateway in the same way. */
  constructor(random: Random, isOn: () => boolean = () => true, isKeyed: () => boolean = () => false) {
    this.#isOn = isOn;
    this.#isKeyed = isKeyed;
    this.#run = Buffer.from(random.bytes(8)).toString("hex");
  }

  /** The same name for each try. Undefined: it may be executed twice, or its upstream has no epochs. */
  readonly nameRequest = (request: RequestHead, upstream: Upstream): NamedRequest | undefined => {
    if (upstream.epoch === undefined || isIdempotent(request.method)) return undefined;
    const known = this.#named.get(request);
    if (known !== undefined) return known;
    const key = this.#isKeyed() ? request.headers.get(keyField) : undefined;
    if (key === undefined && !this.#isOn()) return undefined;
    const own = key === undefined ? { run: this.#run, count: (this.#count += 1) } : nameOfKey(key);
    const named = { ...own, after: upstream.logPosition, isAgain: false };
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
