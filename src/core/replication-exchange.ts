/**
 * What two gateways say to each other about rows: one request and one answer, pure.
 *
 * A request carries what the asker knows (its vector) and what it believes the other lacks of its own writes; the answer
 * carries what the asker lacks. Both may be lost, come twice, late or out of order: every field is either about rows, which
 * merge as a maximum, or a claim that stays true once it was true (replication.ts has the argument).
 */
import type { Push, Replica } from "./replication.ts";
import type { ReplicatedRow } from "./replication-row.ts";
import { countOf, type VersionVector } from "./version-vector.ts";

/** Rows in one message and direction. */
export const rowsPerMessageMax = 500;

export interface RowRequest {
  /** The asker's run. */
  readonly origin: string;
  readonly vector: VersionVector;
  readonly push: Push | null;
  /** Where the part begins that is asked for; it counts only for the run that gave it. */
  readonly after: { readonly origin: string; readonly arrival: number } | null;
}

export interface RowAnswer {
  readonly origin: string;
  readonly vector: VersionVector;
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
  /** What it last claimed to know. */
  readonly vector: VersionVector;
}

export const unknownPeer: PeerMemory = { origin: null, ownKnown: 0, next: null, vector: new Map() };

/** To a peer of which nothing is known nothing is pushed: its answer says first how much it knows. */
export function rowRequest(replica: Replica, peer: PeerMemory, rowsMax = rowsPerMessageMax): RowRequest {
  return {
    origin: replica.origin,
    vector: new Map(replica.vector),
    push: peer.origin === null ? null : replica.push(peer.ownKnown, rowsMax),
    after: peer.origin === null || peer.next === null ? null : { origin: peer.origin, arrival: peer.next },
  };
}

/** Takes a request in and answers it. `applied`: rows that are new here. */
export function rowAnswer(replica: Replica, request: RowRequest, rowsMax = rowsPerMessageMax): { readonly answer: RowAnswer; readonly applied: readonly ReplicatedRow[] } {
  const applied = request.push === null ? [] : replica.mergePush(request.origin, request.push).applied;
  const after = request.after !== null && request.after.origin === replica.origin ? request.after.arrival : 0;
  const { rows, next } = replica.lackedBy(request.vector, after, rowsMax);
  return { answer: { origin: replica.origin, vector: new Map(replica.vector), rows, next }, applied };
}

/** Takes an answer in. `more`: another exchange is due at once. */
export function takeAnswer(replica: Replica, answer: RowAnswer): { readonly peer: PeerMemory; readonly applied: readonly ReplicatedRow[]; readonly more: boolean } {
  const applied = replica.merge(answer.rows);
  if (answer.next === null) replica.claim(answer.vector);
  const ownKnown = countOf(answer.vector, replica.origin);
  const peer: PeerMemory = { origin: answer.origin, ownKnown, next: answer.next, vector: answer.vector };
  return { peer, applied, more: answer.next !== null || ownKnown < countOf(replica.vector, replica.origin) };
}
