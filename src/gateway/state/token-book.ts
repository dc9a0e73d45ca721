/**
 * The cluster's tokens: rows that gateways share, with the hash of each token and never the token itself.
 *
 * A token is `stead_<id>_<256 random bits>`. It is found by its id, and its digest is compared in constant time; random
 * bits need no salt and no slow hash. A row is written once and revoked by a tombstone, which wins over the row in
 * whatever order the two arrive and whatever their stamps say (core/replication/row.ts). Tombstones are kept as long as
 * the row could come back: until the token has expired anyway, else permanently (store.ts).
 *
 * How one would try to use a revoked token: at a gateway that its peers cannot reach. It accepts the token until it
 * hears of the revocation or the token expires.
 */
import { nameOfSecret } from "../../control/orderer.ts";
import { createHash, timingSafeEqual } from "node:crypto";
import type { TokenEntry } from "../../control/gateway-api.ts";
import type { TokenPrincipal } from "../../control/server/authentication.ts";
import { idOfToken, isTokenRole, type TokenRole } from "../../control/token.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Random } from "../../runtime/random.ts";
import { fromValues } from "./replication-tables.ts";
import { putToken } from "./rows.ts";
import type { tokens } from "./schema.ts";
import type { StateStore } from "./store.ts";

/** Tokens that are valid at once; each is looked at when one is listed or added. */
export const tokensMax = 200;

/** How the audit names holders of the cluster secret; no token is called so. */

const idBytes = 8;
const secretBytes = 32;

const digest = (token: string): Buffer => createHash("sha256").update(token).digest();

export interface NewToken {
  readonly name: string;
  readonly role: TokenRole;
  readonly createdBy: string;
  /** Undefined: it does not expire. */
  readonly expiresAtMs: number | undefined;
}

export type NewTokenOutcome =
  | { readonly kind: "added"; readonly token: string; readonly entry: TokenEntry }
  | { readonly kind: "name-taken" }
  | { readonly kind: "full" };

type StoredToken = typeof tokens.$inferSelect;

export class TokenBook {
  readonly #store: StateStore;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(store: StateStore, clock: Clock, random: Random) {
    this.#store = store;
    this.#clock = clock;
    this.#random = random;
  }

  /** Returns the holder of a token that is valid now; undefined for any other text. */
  find(token: string): TokenPrincipal | undefined {
    const id = idOfToken(token);
    const row = id === undefined ? undefined : this.#store.replica.get("tokens", id);
    if (row === undefined) return undefined;
    const stored = fromValues<StoredToken>(row);
    const expected = Buffer.from(stored.hash, "hex");
    const presented = digest(token);
    if (expected.length !== presented.length || !timingSafeEqual(expected, presented)) return undefined;
    const { name, role } = stored;
    return this.#isValid(stored) && isTokenRole(role) ? { kind: "token", id: stored.id, name, role } : undefined;
  }

  /** Returns the valid tokens, by name. */
  list(): readonly TokenEntry[] {
    return this.#valid().toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The answer has the token, which is kept nowhere. */
  add({ name, role, createdBy, expiresAtMs }: NewToken): NewTokenOutcome {
    const valid = this.#valid();
    if (name === nameOfSecret || valid.some((entry) => entry.name === name)) return { kind: "name-taken" };
    if (valid.length >= tokensMax) return { kind: "full" };
    const id = Buffer.from(this.#random.bytes(idBytes)).toString("hex");
    const token = `stead_${id}_${Buffer.from(this.#random.bytes(secretBytes)).toString("base64url")}`;
    const createdAtMs = Math.floor(this.#clock.wallTime());
    const entry: TokenEntry = { id, name, role, createdAtMs, createdBy, expiresAtMs: expiresAtMs ?? null };
    this.#store.write(putToken({ ...entry, hash: digest(token).toString("hex"), deleted: false }));
    return { kind: "added", token, entry };
  }

  /** Revokes the token with this id, or all with this name: two gateways may have given it at once. */
  revoke(idOrName: string): readonly TokenEntry[] {
    const revoked = this.#rows().filter(({ id, name, deleted }) => !deleted && (id === idOrName || name === idOrName));
    for (const { origin: _, seq: __, hlc: ___, ...row } of revoked)
      this.#store.write(putToken({ ...row, deleted: true }));
    return revoked.flatMap((row) => entryOf(row));
  }

  #rows(): StoredToken[] {
    return [...this.#store.replica.rowsOf("tokens")].map((row) => fromValues<StoredToken>(row));
  }

  #valid(): TokenEntry[] {
    return this.#rows()
      .filter((row) => this.#isValid(row))
      .flatMap((row) => entryOf(row));
  }

  #isValid({ deleted, expiresAtMs }: StoredToken): boolean {
    return !deleted && (expiresAtMs === null || expiresAtMs > this.#clock.wallTime());
  }
}

/** A role that this version does not know gives nothing. */
const entryOf = ({ id, name, role, createdAtMs, createdBy, expiresAtMs }: StoredToken): TokenEntry[] =>
  isTokenRole(role) ? [{ id, name, role, createdAtMs, createdBy, expiresAtMs }] : [];
