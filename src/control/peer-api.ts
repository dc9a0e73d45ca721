/**
 * Messages between gateways, format 1: `POST /v1/peer/sync` on the admin listener, PeerMessage -> PeerMessage, or 409
 * PeerRefusal. Each message carries what its sender knows (vector), rows that the other lacks, and its present view of
 * each service's primary.
 *
 * Rows are arrays in the order of `tables[name]`. A sender leaves out rows of tables that the receiver does not know,
 * by what its messages say (`knows`). A receiver that does not know one of these tables or columns accepts none of the
 * rows and does not count them as known, so that it gets them completely once it is upgraded; views still count.
 */
import * as v from "valibot";
import { baseUrlSchema } from "./addresses.ts";
import { seenSchema } from "./sight-api.ts";

export const peerFormat = 1;

/** Numbers beyond 2^53 are not exact: such an epoch could never be exceeded. */
const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(200));

const stamp = v.pipe(v.string(), v.regex(/^\d{15}-\d{8}$/));

export const peerViewSchema = v.object({
  service: name,
  /** Owner of the highest epoch that it knows. */
  primary: v.nullable(name),
  epoch: count,
  sees: v.picklist(["up", "down", "unknown"]),
  /**
   * What it heard about the log directly from a primary, perhaps as the only gateway. null, or left out by an older
   * gateway: nothing.
   */
  heard: v.optional(v.nullable(v.object({ epoch: count, position: count, vault: v.nullable(name) })), null),
  /** How long it has had this view. */
  forMs: v.pipe(v.number(), v.minValue(0)),
  /** For people alone; null, or left out by an older gateway: not told. */
  seen: v.optional(v.nullable(seenSchema), null),
});
export type PeerViewMessage = v.InferOutput<typeof peerViewSchema>;

export const wireRowSchema = v.tuple([
  name, // table
  name, // origin
  count, // seq
  stamp,
  v.picklist([0, 1]), // tombstone
  // One check instead of a union, whose members would each be tried, and report, for each of many cells.
  v.array(
    v.custom<string | number | null>(
      (cell) => cell === null || typeof cell === "string" || (typeof cell === "number" && !Number.isNaN(cell)),
      "a cell is text, a number or null",
    ),
  ),
]);
export type WireRow = v.InferOutput<typeof wireRowSchema>;

export const peerMessageSchema = v.object({
  format: v.literal(peerFormat),
  from: v.object({
    id: name,
    /** This run of the gateway; another process with the same id has another one. */
    origin: name,
    adminUrl: baseUrlSchema,
    /** Stamp of its own registration. */
    registered: v.nullable(stamp),
    /** True when it is stopping: do not wait for it. */
    leaving: v.boolean(),
  }),
  /**
   * In a request: what the sender knows, if it asks for what it lacks. In the answer: what the answering gateway knows.
   */
  vector: v.nullable(v.record(v.string(), count)),
  /** In an answer: how many of the asking gateway's own writes are known. */
  known: count,
  /** In a request: `rows` are the sender's own writes after `since`, up to `upTo`. */
  push: v.nullable(v.object({ since: count, upTo: count })),
  /** In a request: the requested part of the answer. */
  after: v.nullable(v.object({ origin: name, arrival: count })),
  /** In an answer: where the next part begins; null: with these rows the receiver knows what `vector` claims. */
  next: v.nullable(count),
  /** Tables and columns that the sender has; null, or left out by an older gateway: those of before. */
  knows: v.optional(v.nullable(v.record(v.string(), v.array(v.string())))),
  tables: v.record(v.string(), v.array(v.string())),
  rows: v.array(wireRowSchema),
  views: v.array(peerViewSchema),
});
export type PeerMessage = v.InferOutput<typeof peerMessageSchema>;

export const peerRefusalSchema = v.object({
  error: v.string(),
  advice: v.string(),
  reason: v.picklist(["self", "duplicate-id", "removed", "format", "clock"]),
  /** With `removed`: the stamp of the removal. */
  stamp: v.optional(stamp),
});
export type PeerRefusal = v.InferOutput<typeof peerRefusalSchema>;

export const peerSyncPath = "/v1/peer/sync";

/** One message is at most this long. */
export const peerMessageBytesMax = 8 * 1024 * 1024;
