/**
 * Names the requests of a data plane that must not be executed twice (core/request-names.ts).
 *
 * A name is never given to two requests (docs/PROTOCOL.md, "replay-named-run"): each run of a data plane draws 64
 * random bits and counts from 1, and remembers nothing of the run before it. Attacked by the mutant replay-named-run.
 */
import { createHash } from "node:crypto";
import { isIdempotent } from "../../core/replay.ts";
import type { NamedRequest } from "../../core/request-names.ts";
import { allRules, type Rules } from "../../core/rules.ts";
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

interface Named {
  readonly name: NamedRequest;
  /** Identity of the vault in whose log the name's position is. */
  readonly vault: string | undefined;
}

export class RequestNamer {
  /** Random, since each run counts from 1. */
  readonly #run: string;
  #count = 0;
  readonly #named = new WeakMap<RequestHead, Named>();

  readonly #isOn: () => boolean;
  readonly #isKeyed: () => boolean;

  /** `isKeyed`: requests with an `Idempotency-Key` are named by it, by every gateway in the same way. */
  constructor(
    random: Random,
    isOn: () => boolean = () => true,
    isKeyed: () => boolean = () => false,
    rules: Rules = allRules,
  ) {
    this.#isOn = isOn;
    this.#isKeyed = isKeyed;
    const run = rules.has("replay-named-run") ? random.bytes(runBytes) : new Uint8Array(runBytes);
    this.#run = Buffer.from(run).toString("hex");
  }

  /** The same name for each try. Undefined: it may be executed twice, or its upstream has no epochs. */
  readonly nameRequest = (request: RequestHead, upstream: Upstream): NamedRequest | undefined => {
    if (upstream.epoch === undefined || isIdempotent(request.method)) return undefined;
    const known = this.#named.get(request);
    if (known !== undefined) return known.name;
    const { position: after, vault, takesNames } = upstream.heard;
    const key = this.#isKeyed() ? request.headers.get(keyField) : undefined;
    if (key === undefined && !(takesNames && this.#isOn())) return undefined;
    const own = key === undefined ? { run: this.#run, count: (this.#count += 1) } : nameOfKey(key);
    const name = { ...own, after, isAgain: false };
    this.#named.set(request, { name, vault });
    return name;
  };

  isNamed(request: RequestHead): boolean {
    return this.#named.has(request);
  }

  /** A try was lost with its host: from now on the request is executed only if that one has changed nothing. */
  onLost(request: RequestHead): void {
    const named = this.#named.get(request);
    if (named !== undefined) this.#named.set(request, { ...named, name: { ...named.name, isAgain: true } });
  }

  /**
   * Why a lost request must not be sent to this primary: it cannot tell what the lost one has executed. Undefined: it
   * can.
   */
  whyNotAgain(request: RequestHead, { heard }: Upstream): string | undefined {
    const named = this.#named.get(request);
    if (named?.name.isAgain !== true) return undefined;
    if (!heard.takesNames) return "the host that had it was lost; the next primary is of a version that knows no names";
    // Positions of another log say nothing about this one: a copy of the first may have become a new vault.
    if (heard.vault !== named.vault) return "the host that had it was lost; the next primary has another vault";
    return undefined;
  }
}
