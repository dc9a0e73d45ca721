/**
 * The load's model of an application: how to draw a request, and how to read its answer. One model per example
 * application (`notes-model.ts`, `ledger-model.ts`); the load itself knows neither application.
 */
import type { SeededRandom } from "./seeded-random.ts";
import type { Entry, History, Moment } from "./history.ts";

export interface DemoRequest {
  readonly method: "GET" | "POST" | "PUT";
  readonly path: string;
  readonly body?: string;
}

/** An answer, whole. `body` is undefined when it was not JSON. */
export interface DemoAnswer {
  readonly status: number;
  readonly body: unknown;
}

export interface Operation {
  readonly request: DemoRequest;
  /** The record that it is about, when it is about one. */
  readonly key: string | undefined;
  /** The unique text of the write; undefined for a read. */
  readonly write: string | undefined;
  /**
   * Tells the history the result in the answer. Returns undefined, or why the application would not answer so: such an
   * answer counts as failed.
   */
  settle(answer: DemoAnswer, moment: Moment, history: History): string | undefined;
  /** The write's fate is not known: the model must not build on it. */
  abandon(): void;
}

export type Get = (path: string) => Promise<DemoAnswer>;

export interface DemoModel {
  /** Requests that must succeed before the load starts. */
  prepare(get: Get, history: History): Promise<void>;
  /** The next request of a worker. No two workers write the same record. */
  next(dice: SeededRandom, worker: number): Operation;
  /** A write to send to a host directly, past the gateway; its text is unique. */
  probe(dice: SeededRandom): Operation & { readonly write: string };
  /** Every change that the application has, and how its own invariant is broken (undefined: it holds). */
  readBack(get: Get): Promise<{ readonly entries: readonly Entry[]; readonly broken: string | undefined }>;
}

/** An answer in which something is missing or of the wrong type. */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
}

export function field(body: unknown, name: string): unknown {
  return typeof body === "object" && body !== null ? (body as Record<string, unknown>)[name] : undefined;
}

export function numberField(body: unknown, name: string): number {
  const value = field(body, name);
  if (typeof value !== "number") throw new AnswerError(`"${name}" is not a number in ${shown(body)}`);
  return value;
}

export function textField(body: unknown, name: string): string {
  const value = field(body, name);
  if (typeof value !== "string") throw new AnswerError(`"${name}" is not a string in ${shown(body)}`);
  return value;
}

export function listField(body: unknown, name: string): readonly unknown[] {
  const value = field(body, name);
  if (!Array.isArray(value)) throw new AnswerError(`"${name}" is not a list in ${shown(body)}`);
  return value;
}

const shown = (body: unknown): string => (JSON.stringify(body) ?? "nothing").slice(0, 120);

/** All pages of a list of changes; `read` returns one page after a revision. */
export async function readPages(
  read: (after: number) => Promise<{ latest: number; entries: readonly Entry[] }>,
): Promise<Entry[]> {
  const all: Entry[] = [];
  for (;;) {
    const after = all.at(-1)?.revision ?? 0;
    const { latest, entries } = await read(after);
    all.push(...entries);
    const last = all.at(-1)?.revision ?? 0;
    if (last >= latest || entries.length === 0) return all;
  }
}
