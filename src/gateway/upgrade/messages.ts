/**
 * Messages between a keeper and the process that takes over, as lines of JSON (workers/line-channel.ts). The two may be
 * different versions of the binary: a later version must understand these messages, and may add to them.
 */
import * as v from "valibot";

export const toSuccessorSchema = v.variant("kind", [
  v.object({ kind: v.literal("take-over") }),
  v.object({ kind: v.literal("hand-over") }),
  v.object({ kind: v.literal("resume") }),
  v.object({ kind: v.literal("drain") }),
  v.object({ kind: v.literal("stop") }),
]);
export type ToSuccessor = v.InferOutput<typeof toSuccessorSchema>;

export const fromSuccessorSchema = v.variant("kind", [
  /** It has read its configuration, and could serve. `listen`: the addresses for clients, separated by ", ". */
  v.object({ kind: v.literal("ready"), gateway: v.string(), listen: v.string(), version: v.string() }),
  v.object({ kind: v.literal("serving") }),
  v.object({ kind: v.literal("handed-over") }),
  v.object({ kind: v.literal("failed"), why: v.string() }),
]);
export type FromSuccessor = v.InferOutput<typeof fromSuccessorSchema>;
