/**
 * Clients that attach files to notes during a chaos run, download and delete them, and the judgement at the end:
 *
 * - an attachment whose upload was acknowledged is there, bit for bit, until its deletion is asked for;
 * - one whose deletion was acknowledged is gone, and so is its file (chaos-run.ts looks into the primary's folder);
 * - each row has its file, with the content that the row names;
 * - a row that no client knows of is one of an upload that was not answered.
 *
 * A request that was not answered, or by stead itself, leaves open whether it was executed, and nothing is expected.
 */
import { createHash } from "node:crypto";
import { SeededRandom } from "../harness/seeded-random.ts";
import type { Clock } from "../src/runtime/clock.ts";

interface Attachment {
  readonly id: number;
  readonly sha256: string;
  readonly file: string;
}

export interface AttachmentCounts {
  readonly uploaded: number;
  readonly downloaded: number;
  readonly deleted: number;
}

export interface AttachmentsOptions {
  readonly url: string;
  readonly seed: number;
  readonly workers: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

const pauseMsMax = 200;
const bytesMax = 200_000;
/** Of a worker: more are deleted before more are made, so that disks do not fill. */
const keptMax = 40;
const readBackTimeoutMs = 60_000;

export class ChaosAttachments {
  readonly #options: AttachmentsOptions;
  readonly #stop = new AbortController();
  #working: Promise<unknown> = Promise.resolve();
  /** Acknowledged, and its deletion is not asked for. */
  readonly #kept = new Map<number, Attachment>();
  /** Its deletion is asked for, or was not answered. */
  readonly #doubtful = new Set<number>();
  readonly #deleted = new Map<number, Attachment>();
  /** Contents whose upload was not answered. */
  readonly #unanswered = new Set<string>();
  readonly #violations: string[] = [];
  #uploaded = 0;
  #downloaded = 0;

  constructor(options: AttachmentsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#working = Promise.all(Array.from({ length: this.#options.workers }, (_, at) => this.#work(at)));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#working;
  }

  get counts(): AttachmentCounts {
    return { uploaded: this.#uploaded, downloaded: this.#downloaded, deleted: this.#deleted.size };
  }

  /** Files of attachments whose deletion was acknowledged. */
  get deletedFiles(): readonly string[] {
    return [...this.#deleted.values()].map(({ file }) => file);
  }

  /** Reads everything, and returns what is wrong. After `stop`. */
  async judge(): Promise<readonly string[]> {
    const answer = await this.#fetch("GET", "/attachments", undefined, readBackTimeoutMs);
    if (answer?.status !== 200) return [...this.#violations, `the list of attachments was answered ${answer?.status}`];
    const { attachments: rows } = (await answer.json()) as { attachments: readonly Attachment[] };
    const there = new Map(rows.map((row) => [row.id, row]));
    for (const { id } of this.#kept.values())
      if (!there.has(id)) this.#violations.push(`attachment ${id} was acknowledged and is missing`);
    for (const row of rows) {
      await this.#assertWhole(row, readBackTimeoutMs);
      if (this.#deleted.has(row.id)) this.#violations.push(`attachment ${row.id} was deleted and is there again`);
      const isKnown = this.#kept.has(row.id) || this.#doubtful.has(row.id) || this.#deleted.has(row.id);
      if (!isKnown && !this.#unanswered.has(row.sha256))
        this.#violations.push(`attachment ${row.id} is of no upload of this run`);
    }
    return this.#violations;
  }

  async #work(worker: number): Promise<void> {
    const { clock, seed } = this.#options;
    const { signal } = this.#stop;
    const dice = new SeededRandom(seed * 1013 + worker);
    const mine: number[] = [];
    let note: number | undefined;
    while (!signal.aborted) {
      await clock.sleep(pauseMsMax * dice.fraction(), signal).catch(() => undefined);
      if (signal.aborted) return;
      note ??= await this.#firstNote();
      if (note === undefined) continue;
      const drawn = dice.fraction();
      const id = mine[dice.below(mine.length)];
      if (id === undefined || (drawn < 0.4 && mine.length < keptMax)) {
        const made = await this.#upload(note, dice);
        if (made !== undefined) mine.push(made);
      } else if (drawn < 0.7) await this.#download(id);
      else {
        mine.splice(mine.indexOf(id), 1);
        await this.#delete(id);
      }
    }
  }

  /** The first note of the load: it is never deleted. */
  async #firstNote(): Promise<number | undefined> {
    const answer = await this.#fetch("GET", "/changes?after=0&limit=1");
    if (answer?.status !== 200) return undefined;
    return ((await answer.json()) as { changes: readonly { note: number }[] }).changes[0]?.note;
  }

  async #upload(note: number, dice: SeededRandom): Promise<number | undefined> {
    const size = dice.fraction() < 0.8 ? dice.below(5_000) : dice.below(bytesMax);
    const bytes = new Uint8Array(Buffer.alloc(size + 8, dice.below(256)));
    new DataView(bytes.buffer).setFloat64(0, dice.fraction());
    const sha256 = sha256Of(bytes);
    this.#unanswered.add(sha256);
    const answer = await this.#fetch("POST", `/notes/${note}/attachments`, bytes);
    if (answer?.status !== 201) {
      this.#assertNot(answer, [404], `note ${note} was acknowledged and is missing`);
      return undefined;
    }
    const made = (await answer.json()) as Attachment;
    if (made.sha256 !== sha256) this.#violations.push(`attachment ${made.id} was answered with another content`);
    this.#kept.set(made.id, { ...made, sha256 });
    this.#uploaded += 1;
    return made.id;
  }

  async #download(id: number): Promise<void> {
    const attachment = this.#kept.get(id);
    if (attachment !== undefined && (await this.#assertWhole(attachment))) this.#downloaded += 1;
  }

  /** Only this client deletes it: a 404 is the answer to the second attempt of the same deletion. */
  async #delete(id: number): Promise<void> {
    const attachment = this.#kept.get(id);
    if (attachment === undefined) return;
    this.#kept.delete(id);
    this.#doubtful.add(id);
    const answer = await this.#fetch("DELETE", `/attachments/${id}`);
    if (answer?.status !== 204 && answer?.status !== 404) return;
    this.#doubtful.delete(id);
    this.#deleted.set(id, attachment);
  }

  /** False: nothing is known, since it was not answered. */
  async #assertWhole({ id, sha256 }: Attachment, timeoutMs?: number): Promise<boolean> {
    const answer = await this.#fetch("GET", `/attachments/${id}`, undefined, timeoutMs);
    if (answer?.status !== 200) {
      this.#assertNot(
        answer,
        [404, 500],
        `attachment ${id} was answered ${answer?.status}: no row, or a row without its file`,
      );
      return false;
    }
    const found = sha256Of(new Uint8Array(await answer.arrayBuffer()));
    if (found !== sha256) this.#violations.push(`attachment ${id} has another content`);
    return true;
  }

  /** An answer of stead itself (`Stead-Outcome`, or an error in its words) says nothing of the application's data. */
  #assertNot(answer: Response | undefined, statuses: readonly number[], what: string): void {
    if (answer === undefined || answer.headers.has("Stead-Outcome")) return;
    if (statuses.includes(answer.status)) this.#violations.push(what);
  }

  /** Undefined: there was no whole answer. */
  async #fetch(
    method: string,
    path: string,
    body?: Uint8Array<ArrayBuffer> | string,
    timeoutMs = this.#options.timeoutMs,
  ): Promise<Response | undefined> {
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const answer = await fetch(this.#options.url + path, { method, signal, ...(body === undefined ? {} : { body }) });
      const bytes = await answer.arrayBuffer();
      return new Response(answer.status === 204 ? null : bytes, answer);
    } catch {
      return undefined;
    }
  }
}

const sha256Of = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
