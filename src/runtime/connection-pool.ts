/**
 * A bounded pool of connections, each for one call at a time. Calls beyond the bound wait in the order of arrival; how
 * many may wait is bounded by who calls.
 */
import type { Clock } from "./clock.ts";

export interface PooledConnection {
  readonly isOpen: boolean;
  /** Ends the call in progress. */
  abort(reason: string): void;
}

export interface ConnectionPoolOptions {
  readonly clock: Clock;
  readonly connectionsMax: number;
  /** A connection that was unused for longer is closed: the other side may have gone without a word. */
  readonly unusedMsMax: number;
}

interface Unused<Connection> {
  readonly connection: Connection;
  /** Monotonic milliseconds. */
  readonly since: number;
}

export class ConnectionPool<Connection extends PooledConnection> {
  readonly #options: ConnectionPoolOptions;
  /** The last one is used first, so that those that are not needed grow old. */
  readonly #unused: Unused<Connection>[] = [];
  readonly #all = new Set<Connection>();
  readonly #waiters: (() => void)[] = [];
  #users = 0;
  #isClosed = false;

  constructor(options: ConnectionPoolOptions) {
    this.#options = options;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Resolves when the caller may use a connection; `release` must follow. */
  async enter(): Promise<void> {
    while (this.#users >= this.#options.connectionsMax)
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    this.#users += 1;
  }

  /** `connection`: the one that was used; undefined: it came to none. */
  release(connection: Connection | undefined): void {
    if (connection?.isOpen === false) this.#all.delete(connection);
    this.#users -= 1;
    this.#waiters.shift()?.();
  }

  add(connection: Connection): Connection {
    this.#all.add(connection);
    return connection;
  }

  /** Returns an open connection for a further call; undefined: make one. Those that cannot be used are closed. */
  takeUnused(isUsable: (connection: Connection) => boolean = () => true): Connection | undefined {
    const oldest = this.#options.clock.now() - this.#options.unusedMsMax;
    for (let found = this.#unused.pop(); found !== undefined; found = this.#unused.pop()) {
      const { connection, since } = found;
      if (connection.isOpen && since >= oldest && isUsable(connection)) return connection;
      connection.abort("unused for too long, or not to be used again");
      this.#all.delete(connection);
    }
    return undefined;
  }

  /** Its call is over. */
  keep(connection: Connection): void {
    if (connection.isOpen) this.#unused.push({ connection, since: this.#options.clock.now() });
  }

  /** Ends all connections: calls in progress fail. */
  close(reason: string): void {
    this.#isClosed = true;
    for (const connection of this.#all) connection.abort(reason);
    this.#all.clear();
  }
}
