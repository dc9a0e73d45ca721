/**
 * Which requests may have been executed in what the log has, by name (docs/PROTOCOL.md, "replay-named").
 *
 * A gateway names each request that must not be executed twice (POST, PATCH). A primary notes the name before the
 * application gets its first byte, and puts all names noted since the last flush into the next one, after that flush
 * was collected. So whatever a flush carries of a request's changes, its name is in that flush or in an earlier one;
 * and a request whose name is in no flush has changed nothing that survived its primary. Every host keeps the names
 * that it reads from the log or notes itself. The next primary is asked with the name, and executes the request only if
 * it is sure that the name is in no flush.
 *
 * It is sure only about flushes whose names it knows. `#completeAfter` is the last position of a flush whose names it
 * does not know: it restored a checkpoint that was made later, an older version wrote it, or its names were dropped
 * because there are too many. A gateway says with each name a position of the log that it had heard of before it sent
 * the request; every flush that can have the name comes after that. A request whose position is before
 * `#completeAfter` may be in a flush that is not known, and counts as executed.
 *
 * How one would break it: taking the names before collecting, so that a request that begins in between commits without
 * a name; noting a name after its first byte was sent; forgetting names without remembering where; giving a name again
 * after a gateway was restarted. Attacked by the mutant replay-named-collected.
 */
import { allRules, type Rules } from "./rules.ts";

/** Of one try; `run` and `count` together are never given twice. */
export interface RequestName {
  /** One run of a data plane: 16 lower-case hexadecimal digits, random. */
  readonly run: string;
  /** A safe integer. */
  readonly count: number;
}

/** A request as its gateway names it to a host. */
export interface NamedRequest extends RequestName {
  /** A position of the log that the gateway had heard of before it sent the request first. */
  readonly after: number;
  /** An earlier try was lost with its host: executed only if that one has changed nothing. */
  readonly isAgain: boolean;
}

/** The names of a flush. */
export interface FlushNames {
  readonly names: readonly RequestName[];
  /** False: there were more than a record takes. */
  readonly isComplete: boolean;
}

/** Known at most; 200 bytes of memory each. */
const knownMax = 65_536;
/** In one flush. More than a host has connections, so only a service that hardly commits ever has more. */
export const namesPerFlushMax = 16_384;

const keyOf = ({ run, count }: RequestName): string => `${run}-${count}`;

export class RequestNames {
  readonly #rules: Rules;
  /** In order of arrival, with the position before which a name does not count as forgotten. */
  readonly #known = new Map<string, number>();
  #unwritten: RequestName[] = [];
  #isUnwrittenComplete = true;
  #completeAfter = 0;

  constructor(rules: Rules = allRules) {
    this.#rules = rules;
  }

  /**
   * Before the application gets the first byte of a request. `position`: of the last durable record. Undefined: it has
   * no name. Returns false if the request must not be executed, because an earlier try of it may have been.
   */
  begin(request: NamedRequest | undefined, position: number): boolean {
    if (request === undefined) return true;
    if (request.isAgain && this.#mayBeExecuted(request) && this.#rules.has("replay-named")) return false;
    this.#remember(request, position + 1);
    if (this.#unwritten.length < namesPerFlushMax) this.#unwritten.push(request);
    else this.#isUnwrittenComplete = false;
    return true;
  }

  /** No byte of a request that began was sent: it may be sent again. */
  withdraw(request: RequestName | undefined): void {
    if (request === undefined) return;
    this.#known.delete(keyOf(request));
    const at = this.#unwritten.findLastIndex(({ run, count }) => run === request.run && count === request.count);
    if (at >= 0) this.#unwritten.splice(at, 1);
  }

  #mayBeExecuted(request: NamedRequest): boolean {
    return request.after < this.#completeAfter || this.#known.has(keyOf(request));
  }

  /** The names for a flush that has just been collected; each is taken once. */
  take(): FlushNames {
    const taken = { names: this.#unwritten, isComplete: this.#isUnwrittenComplete };
    this.#unwritten = [];
    this.#isUnwrittenComplete = true;
    return taken;
  }

  /** A flush was read from the log. `flush` undefined: its writer does not write names. */
  onFlush(position: number, flush: FlushNames | undefined): void {
    if (flush?.isComplete !== true) this.isUnknownUntil(position);
    for (const name of flush?.names ?? []) this.#remember(name, position);
  }

  /** Nothing is known of the flushes up to this position: a checkpoint stands for them. */
  isUnknownUntil(position: number): void {
    if (this.#rules.has("replay-named-known")) this.#completeAfter = Math.max(this.#completeAfter, position);
  }

  #remember(name: RequestName, position: number): void {
    const key = keyOf(name);
    if (this.#known.has(key)) return;
    this.#known.set(key, position);
    if (this.#known.size <= knownMax) return;
    for (const [oldest, forgottenAt] of this.#known) {
      this.#known.delete(oldest);
      this.#completeAfter = Math.max(this.#completeAfter, forgottenAt);
      break;
    }
  }
}
