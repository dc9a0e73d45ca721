/**
 * How two gateways exchange rows: one request and one answer, pure.
 *
 * A request carries the sender's own writes that the other seems to lack and, for a pull, what the sender knows (its
 * vector). The answer says how many of the sender's writes are known, and for a pull supplies what the sender lacks.
 * Pushes bring every row to every peer once; pulls fetch what pushes did not bring, and are rarer, because many at once
 * would bring the same rows. Both may be lost, duplicated, late or reordered: every field is either about rows, which
 * merge as a maximum, or a claim that stays true once it was true (replication.ts has the argument).
 */
import type { Push, RowReplica } from "./replication.ts";
import type { ReplicatedRow } from "./row.ts";
import { countOf, type VersionVector } from "./version-vector.ts";

/** Rows in one message and direction. */
export const rowsPerMessageMax = 500;

export interface RowRequest {
  /** The run of the requesting gateway. */
  readonly origin: string;
  /** Null: no pull. */
  readonly vector: VersionVector | null;
  readonly push: Push | null;
  /** Where the requested part begins; valid only for the run that issued it. */
  readonly after: { readonly origin: string; readonly arrival: number } | null;
}

export interface RowAnswer {
  readonly origin: string;
  /** How many of the requesting gateway's own writes are known. */
  readonly known: number;
  /** Null: there was no pull. */
  readonly vector: VersionVector | null;
  readonly rows: readonly ReplicatedRow[];
  /** Null: with these rows the receiver knows all that `vector` claims. */
  readonly next: number | null;
}

/** What one side remembers of the other between exchanges; losing it costs a repetition, never a row. */
export interface PeerMemory {
  /** The other's run. */
  readonly origin: string | null;
  /** How many of our own writes it knows. */
  readonly ownKnown: number;
  readonly next: number | null;
}

export const unknownPeer: PeerMemory = { origin: null, ownKnown: 0, next: null };

/**
 * Pulls from an unknown peer, and pushes nothing to it before its answer says how much it knows. `pull` also asks a
 * known peer. An unfinished multi-part pull always continues.
 */
export function rowRequest(
  replica: RowReplica,
  peer: PeerMemory,
  pull: boolean,
  rowsMax = rowsPerMessageMax,
): RowRequest {
  return {
    origin: replica.origin,
    vector: pull || peer.origin === null || peer.next !== null ? new Map(replica.vector) : null,
    push: peer.origin === null ? null : replica.push(peer.ownKnown, rowsMax),
    after: peer.origin === null || peer.next === null ? null : { origin: peer.origin, arrival: peer.next },
  };
}

/** Applies a request and answers it. `applied`: rows that are new here. */
export function rowAnswer(
  replica: RowReplica,
  request: RowRequest,
  rowsMax = rowsPerMessageMax,
): { readonly answer: RowAnswer; readonly applied: readonly ReplicatedRow[] } {
  const applied = request.push === null ? [] : replica.mergePush(request.origin, request.push).applied;
  const known = countOf(replica.vector, request.origin);
  if (request.vector === null)
    return { answer: { origin: replica.origin, known, vector: null, rows: [], next: null }, applied };
  const after = request.after !== null && request.after.origin === replica.origin ? request.after.arrival : 0;
  const { rows, next } = replica.lackedBy(request.vector, after, rowsMax);
  return { answer: { origin: replica.origin, known, vector: new Map(replica.vector), rows, next }, applied };
}

/** Applies an answer. `more`: another exchange is due at once. */
export function takeAnswer(
  replica: RowReplica,
  answer: RowAnswer,
  before: PeerMemory,
): { readonly peer: PeerMemory; readonly applied: readonly ReplicatedRow[]; readonly more: boolean } {
  const applied = replica.merge(answer.rows);
  if (answer.vector !== null && answer.next === null) replica.claim(answer.vector);
  const next = answer.vector !== null ? answer.next : before.origin === answer.origin ? before.next : null;
  const peer: PeerMemory = { origin: answer.origin, ownKnown: answer.known, next };
  return { peer, applied, more: next !== null || answer.known < countOf(replica.vector, replica.origin) };
}
