/**
 * A connection after a 101: bytes go both ways, those from the upstream through the gate, and each side may end
 * separately.
 *
 * If the upstream is lost, the client sees an orderly end, so that it reconnects, to the primary of that moment.
 */
import type { Buffer } from "node:buffer";
import type { ChunkUse } from "../../runtime/tcp/tcp.ts";
import type { AttemptClient, ClientTunnel } from "./exchange.ts";
import type { GatedRelease } from "./gated-release.ts";
import type { ResponseFlow } from "./response-flow.ts";
import type { UpstreamConnection, UpstreamUser } from "./upstream-connection.ts";

/** What a tunnel needs of its attempt. */
export interface TunnelOwner {
  readonly client: AttemptClient;
  readonly release: GatedRelease;
  readonly flow: ResponseFlow;
  /**
   * Nothing will follow in either direction, and what waits for the gate must not leave; the upstream connection no
   * longer belongs to the tunnel.
   */
  onTunnelOver(): void;
}

export class Tunnel implements UpstreamUser, ClientTunnel {
  readonly #owner: TunnelOwner;
  readonly #connection: UpstreamConnection;
  #hasUpstreamEnded = false;
  #hasClientEnded = false;
  #isOver = false;

  constructor(owner: TunnelOwner, connection: UpstreamConnection) {
    this.#owner = owner;
    this.#connection = connection;
    connection.detach();
    connection.use(this);
    this.#expire();
  }

  // From the client.

  sendData(data: Buffer): void {
    if (this.#isOver) return;
    this.#connection.write(data);
    this.#expire();
    if (this.#connection.waitingBytes > this.#owner.client.limits.writeBufferBytesMax)
      this.#owner.client.setBodyFlow("paused");
  }

  sendEnd(): void {
    if (this.#isOver) return;
    this.#hasClientEnded = true;
    this.#connection.end();
    if (this.#hasUpstreamEnded) this.abort("both sides of the tunnel have ended");
  }

  // From the upstream.

  onData(chunk: Buffer): ChunkUse {
    this.#expire();
    this.#owner.release.push(chunk);
    this.#owner.release.flush();
    this.balance();
    return undefined;
  }

  onEnd(): void {
    this.#hasUpstreamEnded = true;
    this.#owner.release.end();
    this.#owner.release.flush();
  }

  /** Everything that the upstream has sent is out, and the gate has agreed to its end. */
  onReleaseEnd(): void {
    this.#owner.client.connection.endTunnel();
    if (this.#hasClientEnded) this.abort("both sides of the tunnel have ended");
  }

  onDrain(): void {
    this.#owner.client.setBodyFlow("to-attempt");
  }

  onGone(): void {
    this.#close();
  }

  onExpired(): void {
    this.abort("the tunnel was idle for too long");
  }

  balance(): void {
    if (!this.#isOver && this.#owner.flow.balance(this.#connection)) this.#expire();
  }

  /** Ends the upstream's side; the client's side ends in order. */
  abort(reason: string): void {
    if (this.#isOver) return;
    this.#connection.detach();
    this.#connection.abort(reason);
    this.#close();
  }

  #close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.client.connection.endTunnel();
    this.#owner.onTunnelOver();
  }

  #expire(): void {
    this.#connection.expire(this.#owner.client.limits.tunnelIdleMs);
  }
}
