/**
 * The upstream connections that belong to one client connection until it ends, because an application logs in
 * connections, not requests (NTLM, Negotiate: RFC 4559, 5 and 6).
 *
 * Such an application serves every request of a connection as the user that has logged in on it. A connection that has
 * carried a login therefore never serves another client: it never returns to the pool, and is closed with its client
 * connection. One would break this with a login that the heads do not show.
 */
import type { Upstream } from "./upstream.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";

const overReason = "the client that logged in on it is gone";

export class PinnedConnections {
  readonly #unused = new Map<Upstream, UpstreamConnection>();
  #isOver = false;

  /** Returns the client's connection to `upstream`, if it is still usable; the caller has it until `keep`. */
  take(upstream: Upstream): UpstreamConnection | undefined {
    const connection = this.#unused.get(upstream);
    this.#unused.delete(upstream);
    return connection?.isOpen === true ? connection : undefined;
  }

  keep(upstream: Upstream, connection: UpstreamConnection): void {
    if (this.#isOver) connection.abort(overReason);
    else this.#unused.set(upstream, connection);
  }

  /** The client connection has ended. */
  abort(): void {
    this.#isOver = true;
    for (const connection of this.#unused.values()) connection.abort(overReason);
    this.#unused.clear();
  }
}
