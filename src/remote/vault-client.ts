/**
 * The calls of one process to a vault server, over a bounded pool of connections.
 *
 * Each connection begins with what this process knows of the log (known-end.ts): a server that has less is not
 * believed, and the call fails as `unavailable` with nothing sent. A process of the server does not go back while it
 * runs, so once for each connection is enough.
 */
import type { VaultAddress } from "../core/vault-address.ts";
import type { Clock } from "../runtime/clock.ts";
import { ConnectionPool } from "../runtime/connection-pool.ts";
import type { Random } from "../runtime/random.ts";
import type { Tcp } from "../runtime/tcp/tcp.ts";
import { StoreError, type StoreErrorKind } from "../vault/store/store.ts";
import { KnownLog } from "./known-end.ts";
import type { ServedAnswer, ServedCall } from "./served-calls.ts";
import { nonceBytes } from "./session.ts";
import { CallError, VaultConnection } from "./vault-connection.ts";
import { decodeError } from "./wire.ts";

const connectionsMax = 24;
/** An unused connection that is older is closed: the other side may have gone without a word. */
const unusedMsMax = 30_000;

export interface VaultClientOptions {
  readonly url: string;
  readonly address: VaultAddress;
  /** Those that are valid now. */
  readonly secrets: () => readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly tcp: Tcp;
  /** For one call, from its beginning to its whole answer. */
  readonly timeoutMs: number;
  readonly known?: KnownLog | undefined;
}

export interface CallLimits {
  /** The kind of the error if the request may have arrived. */
  readonly ifSent: StoreErrorKind;
  readonly timeoutMs?: number | undefined;
}

export class VaultClient {
  readonly url: string;
  readonly known: KnownLog;
  readonly #options: VaultClientOptions;
  readonly #pool: ConnectionPool<VaultConnection>;

  constructor(options: VaultClientOptions) {
    this.#options = options;
    this.#pool = new ConnectionPool({ clock: options.clock, connectionsMax, unusedMsMax });
    this.url = options.url;
    this.known = options.known ?? new KnownLog();
  }

  /** One attempt. Returns answers with a status below 400, and 404. Throws StoreError. */
  async call(call: ServedCall, { ifSent, timeoutMs = this.#options.timeoutMs }: CallLimits): Promise<ServedAnswer> {
    let connection: VaultConnection | undefined;
    const late = `no answer within ${timeoutMs} ms`;
    let isLate = false;
    const timer = this.#options.clock.setTimer(timeoutMs, () => {
      isLate = true;
      connection?.abort(late);
    });
    await this.#pool.enter();
    try {
      if (isLate) throw new CallError(false, late);
      connection = this.#pool.takeUnused(({ adoptions }) => adoptions === this.known.adoptions);
      if (connection === undefined) {
        connection = this.#connect();
        await connection.open();
      }
      const answer = await connection.call(call);
      this.#pool.keep(connection);
      if (answer.status < 400 || answer.status === 404) return answer;
      throw decodeError(answer.body) ?? new CallError(true, `the vault server answered ${answer.status}`);
    } catch (error) {
      throw this.#explain(error, call, ifSent);
    } finally {
      timer.cancel();
      this.#pool.release(connection);
    }
  }

  /** Ends all connections: calls in progress fail. */
  close(): Promise<void> {
    this.#pool.close("this host closed the vault");
    return Promise.resolve();
  }

  #connect(): VaultConnection {
    if (this.#pool.isClosed) throw new CallError(false, "the vault is closed");
    const { address, secrets, tcp, random } = this.#options;
    const nonce = Buffer.from(random.bytes(nonceBytes)).toString("hex");
    return this.#pool.add(new VaultConnection({ address, secrets: secrets(), tcp, nonce, known: this.known }));
  }

  #explain(error: unknown, { method, target }: ServedCall, ifSent: StoreErrorKind): unknown {
    if (!(error instanceof CallError)) return error;
    const kind = error.isSent ? ifSent : "unavailable";
    return new StoreError(kind, `${method} ${target} at ${this.url}: ${error.message}`, error.advice, { cause: error });
  }
}
