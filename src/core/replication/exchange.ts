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
  /** Undefined: no pull. */
  readonly vector: VersionVector | undefined;
  readonly push: Push | undefined;
  /** Where the requested part begins; valid only for the run that issued it. */
  readonly after: { readonly origin: string; readonly arrival: number } | undefined;
}

export interface RowAnswer {
  readonly origin: string;
  /** How many of the requesting gateway's own writes are known. */
  readonly known: number;
  /** Undefined: there was no pull. */
  readonly vector: VersionVector | undefined;
  readonly rows: readonly ReplicatedRow[];
  /** Undefined: with these rows the receiver knows all that `vector` claims. */
  readonly next: number | undefined;
}

/** What one side remembers of the other between exchanges; losing it costs a repetition, never a row. */
export interface PeerMemory {
  /** The other's run. */
  readonly origin: string | undefined;
  /** How many of our own writes it knows. */
  readonly ownKnown: number;
  readonly next: number | undefined;
}

export const unknownPeer: PeerMemory = { origin: undefined, ownKnown: 0, next: undefined };

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
    vector: pull || peer.origin === undefined || peer.next !== undefined ? new Map(replica.vector) : undefined,
    push: peer.origin === undefined ? undefined : replica.push(peer.ownKnown, rowsMax),
    after:
      peer.origin === undefined || peer.next === undefined ? undefined : { origin: peer.origin, arrival: peer.next },
  };
}

/** Applies a request and answers it. `applied`: rows that are new here. */
export function rowAnswer(
  replica: RowReplica,
  request: RowRequest,
  rowsMax = rowsPerMessageMax,
): { readonly answer: RowAnswer; readonly applied: readonly ReplicatedRow[] } {
  const applied = request.push === undefined ? [] : replica.mergePush(request.origin, request.push).applied;
  const known = countOf(replica.vector, request.origin);
  if (request.vector === undefined)
    return { answer: { origin: replica.origin, known, vector: undefined, rows: [], next: undefined }, applied };
  const after = request.after !== undefined && request.after.origin === replica.origin ? request.after.arrival : 0;
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
  if (answer.vector !== undefined && answer.next === undefined) replica.claim(answer.vector);
  const next = answer.vector !== undefined ? answer.next : before.origin === answer.origin ? before.next : undefined;
  const peer: PeerMemory = { origin: answer.origin, ownKnown: answer.known, next };
  return { peer, applied, more: next !== undefined || answer.known < countOf(replica.vector, replica.origin) };
}
