/**
 * What two gateways say to each other about rows: one request and one answer, pure.
 *
 * A request carries what the asker believes the other lacks of its own writes, and, when it pulls, what it knows (its
 * vector); the answer says how much of the asker's writes is known, and to a pull gives what the asker lacks. Pushes
 * bring everything to everybody once; pulls are for what pushes did not bring, and rarer, because many at once would
 * bring the same rows. Both may be lost, come twice, late or out of order: every field is either about rows, which
 * merge as a maximum, or a claim that stays true once it was true (replication.ts has the argument).
 */
import type { Push, RowReplica } from "./replication.ts";
import type { ReplicatedRow } from "./row.ts";
import { countOf, type VersionVector } from "./version-vector.ts";

/** Rows in one message and direction. */
export const rowsPerMessageMax = 500;

export interface RowRequest {
  /** The asker's run. */
  readonly origin: string;
  /** Null: nothing is asked for. */
  readonly vector: VersionVector | null;
  readonly push: Push | null;
  /** Where the part begins that is asked for; it counts only for the run that gave it. */
  readonly after: { readonly origin: string; readonly arrival: number } | null;
}

export interface RowAnswer {
  readonly origin: string;
  /** How many of the asker's own writes are known. */
  readonly known: number;
  /** Null: nothing was asked for. */
  readonly vector: VersionVector | null;
  readonly rows: readonly ReplicatedRow[];
  /** Null: with these rows the asker knows all that `vector` claims. */
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
 * From a peer of which nothing is known everything is asked for, and nothing is pushed to it: its answer says first how
 * much it knows. `pull`: ask also otherwise; what has begun in parts is gone on with.
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

/** Takes a request in and answers it. `applied`: rows that are new here. */
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

/** Takes an answer in. `more`: another exchange is due at once. */
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
