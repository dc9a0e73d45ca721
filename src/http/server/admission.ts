/**
 * Which client connections may be open: at most `connectionsMax` in all and `connectionsPerAddressMax` of one address.
 *
 * A connection counts from the moment the system has accepted it, whatever it sends or does not send. If a bound is
 * reached, the connections that have waited for a request the longest are closed to make room: holding sockets open
 * must not keep others out. One that has a request, or is a tunnel, is never closed for that; if all have one, the new
 * connection is refused.
 *
 * An address is what one client can have many of at no cost: for IPv6 that is a network of 64 bits. Addresses of
 * proxies stand for many clients and are exempt.
 *
 * One would try to break it with connections that never count (a TLS handshake that does not begin), that are never
 * idle (a byte of a head now and then: a head has a time limit and counts as waiting), or with many addresses (then
 * each new connection closes an old idle one, and a client that sends its request in time is served).
 *
 * Attacked in test/security/A3-connections.test.ts: "a connection without a first request is closed soon", "all places
 * taken by idle connections of many addresses".
 */
import type { HttpLimits } from "../limits.ts";
import type { OwnedConnection } from "./connection-owner.ts";
import { plainAddress, TrustedProxies } from "./trusted-proxies.ts";

/** The bound that was reached. */
export type Crowd = "all" | "address";

export interface AdmissionOptions {
  readonly limits: Pick<HttpLimits, "connectionsMax" | "connectionsPerAddressMax">;
  /** Addresses and ranges that stand for many clients. */
  readonly exempt: readonly string[];
  /** A bound was reached: `closed` idle connections made room; 0: the new one was refused. */
  onCrowd(crowd: Crowd, address: string, closed: number): void;
}

/** Most connections that are closed at once to make room: it bounds how often all of them are looked at. */
const roomMax = 32;

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #exempt: TrustedProxies;
  readonly #byAddress = new Map<string, Set<OwnedConnection>>();
  #size = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#exempt = new TrustedProxies(options.exempt);
  }

  /** Number of open connections. */
  get size(): number {
    return this.#size;
  }

  *[Symbol.iterator](): Iterator<OwnedConnection> {
    for (const connections of this.#byAddress.values()) yield* connections;
  }

  /** Returns whether a connection from `address` may be opened, after closing idle ones if that is necessary. */
  hasRoomFor(address: string): boolean {
    const { connectionsMax } = this.#options.limits;
    return (
      this.hasRoomAt(address) &&
      (this.#size < connectionsMax || this.#makeRoom("all", address, this, Math.ceil(connectionsMax / 100)))
    );
  }

  /** The same for the bound of one address, for a connection whose client has just become known. */
  hasRoomAt(address: string): boolean {
    const sameAddress = this.#byAddress.get(addressKey(address));
    return (
      sameAddress === undefined ||
      sameAddress.size < this.#options.limits.connectionsPerAddressMax ||
      this.#exempt.has(address) ||
      this.#makeRoom("address", address, sameAddress, 1)
    );
  }

  add(connection: OwnedConnection): void {
    const key = addressKey(connection.countedAddress);
    const sameAddress = this.#byAddress.get(key);
    if (sameAddress === undefined) this.#byAddress.set(key, new Set([connection]));
    else sameAddress.add(connection);
    this.#size++;
  }

  /** False: it was not counted. */
  delete(connection: OwnedConnection): boolean {
    const key = addressKey(connection.countedAddress);
    const sameAddress = this.#byAddress.get(key);
    if (sameAddress?.delete(connection) !== true) return false;
    if (sameAddress.size === 0) this.#byAddress.delete(key);
    this.#size--;
    return true;
  }

  #makeRoom(crowd: Crowd, address: string, among: Iterable<OwnedConnection>, wanted: number): boolean {
    const longest = longestIdle(among, Math.min(roomMax, wanted));
    for (const connection of longest) connection.abort("destroy");
    this.#options.onCrowd(crowd, address, longest.length);
    return longest.length > 0;
  }
}

/** Returns at most `count` connections that wait for a request, those that have waited longest. */
function longestIdle(connections: Iterable<OwnedConnection>, count: number): OwnedConnection[] {
  const found: { readonly since: number; readonly connection: OwnedConnection }[] = [];
  for (const connection of connections) {
    const since = connection.idleSince;
    const last = found.at(-1);
    if (since === Infinity || (found.length === count && last !== undefined && since >= last.since)) continue;
    if (found.length === count) found.pop();
    const at = found.findIndex((other) => other.since > since);
    found.splice(at === -1 ? found.length : at, 0, { since, connection });
  }
  return found.map(({ connection }) => connection);
}

/** An IPv4 address as it is; of an IPv6 address the first 64 bits. */
export function addressKey(address: string): string {
  const plain = plainAddress(address);
  if (!plain.includes(":")) return plain;
  const [head = "", tail] = plain.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups = [
    ...before,
    ...Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0"),
    ...after,
  ];
  return groups.slice(0, 4).join(":");
}
