/**
 * The right to write to the log: gained by a claim (R1), lost at the first record of another writer (R2).
 *
 * Why a claim loses nothing: the claimant has read every record up to its position, and puts its `epoch` record right
 * after. Exclusive creation admits it only if nothing was written there in between. From then on the previous primary's
 * next put meets that record, which is never deleted (R4), and is fenced by it, however late it wakes up.
 *
 * How it would lose a write, and why it does not:
 * - The last record that the claimant read was visible but not yet durable, and a power failure of the vault loses it:
 *   the log would have a hole before the claim. The claimant therefore first puts that record again, with the same
 *   bytes. Either it exists, and the put makes it durable (fs-store.ts), or it is created again. If retention has
 *   deleted it meanwhile, a copy comes back below the boundary, where no reader looks, and is removed by the next
 *   clean-up.
 * - The claimant slept while others wrote, made a checkpoint and deleted the log that it had read: its claim then
 *   succeeds in a hole. The boundary was durable before the first deletion, the deletion came before the claim could
 *   succeed, and the boundary is read after that. A boundary at or beyond the claim shows this: the claim is void (R4),
 *   and this claimant never writes anything after it.
 *
 * The next part of a flush can be prepared while the previous one is put (`prepare`): its bytes follow from the record
 * in progress. This is not a second put in flight (R2): it has no name in the vault until `append` puts it, which
 * happens only if it still follows the last record, byte for byte.
 *
 * A claim always has format 1, whatever the other records have. It is the only record that is never deleted and that
 * every restore reads in addition to its checkpoint. In format 2 it would exclude a host that reads only format 1 until
 * the next claim, while one checkpoint suffices to start behind all other records. Nothing is lost, since a claim has
 * no sections.
 */
import type { StagedBytes } from "../../core/delta.ts";
import type { SectionToWrite } from "../../core/flush.ts";
import type { RecordFormat } from "../../core/record-format.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Random } from "../../runtime/random.ts";
import type { Rules } from "../../core/rules.ts";
import { type RecordPut, fencedBy, putRecord } from "./put-record.ts";
import { CorruptRecordError, WriterEndedError } from "../errors.ts";
import type { Log } from "./log.ts";
import type { LogReader } from "./log-reader.ts";
import { programVersion } from "../../runtime/program-version.ts";
import { encodedBeforePages, encodeRecord, type RecordLayout } from "./record-codec.ts";
import type { LogRecord, Position, RecordBody, RecordHeader } from "../record.ts";
import { RecordMemory } from "./record-memory.ts";
import { retryUntilAnswered, type RetryPorts } from "../store/retry.ts";
import type { StagedPut, StoreError } from "../store/store.ts";

export interface ClaimOptions {
  /** At the end of the log: its last `next()` returned undefined. It stays at its position. */
  readonly reader: LogReader;
  readonly clock: Clock;
  readonly random: Random;
  readonly host: string;
  readonly leaseMs: number;
  readonly controlUrl: string;
  /** Random id of this run of the host process. */
  readonly instance: string;
  readonly rules: Rules;
  /** The newest format that every host of the log can read now; queried before each record. Default: 1. */
  readonly format?: (() => RecordFormat) | undefined;
  /** Gives up the claim. A put in flight may still take effect, as a claim that no host acts on. */
  readonly signal?: AbortSignal;
  /** Called for every store failure that is retried, during the claim and during appends. */
  readonly onFailure?: (error: StoreError) => void;
}

/**
 * - `beaten`: another writer's `record` came first: read the log to its end before claiming again.
 * - `void`: retention has passed this reader and its claim landed in the hole: restart from the newest checkpoint.
 */
export type ClaimOutcome =
  | { readonly kind: "claimed"; readonly writer: LogWriter; readonly record: LogRecord }
  | { readonly kind: "beaten"; readonly record: LogRecord }
  | { readonly kind: "void"; readonly boundary: Position };

/** Its sections are what was passed. */
type WrittenRecord = Omit<LogRecord, "sections">;

export interface Appended {
  readonly record: WrittenRecord;
  /** Monotonic; the lease may be counted from here (put-record.ts argues why). */
  readonly startedAtMs: number;
}

type WriterState =
  | { readonly kind: "ready" }
  | { readonly kind: "busy" }
  | { readonly kind: "ended"; readonly cause: unknown };

export interface AppendOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * Sections beside the body. A record with a required one has format 2, whatever `format` is. Optional ones are left
   * out of a record of format 1.
   */
  readonly sections?: readonly SectionToWrite[] | undefined;
}

interface WriterSetup {
  readonly options: ClaimOptions;
  readonly nonce: string;
  readonly claim: LogRecord;
  readonly startedAtMs: number;
}

export class LogWriter {
  readonly epoch: number;
  /** Position of this writer's `epoch` record: everything after it is this writer's own. */
  readonly claimPosition: Position;
  readonly #options: ClaimOptions;
  readonly #nonce: string;
  #position: Position;
  #hash: string;
  #startedAtMs: number;
  #state: WriterState = { kind: "ready" };
  #flush = { part: 0, parts: 0 };
  /** The record in progress, or the last one: the next one follows it. */
  #tip: Pick<LogRecord, "hash"> & { readonly position: Position };
  #prepared: EncodedRecord | undefined;
  readonly #memory: RecordMemory;

  private constructor(setup: WriterSetup) {
    this.#options = setup.options;
    this.#nonce = setup.nonce;
    this.epoch = setup.claim.header.epoch;
    this.claimPosition = setup.claim.header.position;
    this.#position = setup.claim.header.position;
    this.#hash = setup.claim.hash;
    this.#startedAtMs = setup.startedAtMs;
    this.#tip = { position: this.#position, hash: this.#hash };
    this.#memory = new RecordMemory(setup.options.reader.log.reusableBytesMax);
  }

  /**
   * Rejects with the signal's reason, StoreError `unsuitable`, CorruptRecordError; transient store failures are
   * retried.
   */
  static async claim(options: ClaimOptions): Promise<ClaimOutcome> {
    const { reader, rules } = options;
    if (!reader.isAtEnd) throw new Error("R1: a claim needs a reader that has reached the end of the log");
    if (!reader.isEpochKnown)
      throw new Error(
        "R1: a claim needs to know the epoch: give the reader the epoch of the checkpoint it starts from",
      );
    const helped = await putLastAgain(options);
    if (helped !== undefined) return helped;
    const nonce = Buffer.from(options.random.bytes(16)).toString("hex");
    for (;;) {
      const header = headerAfter(options, nonce, reader.position, reader.hash, reader.epoch + 1);
      const body: RecordBody = {
        kind: "epoch",
        leaseMs: options.leaseMs,
        controlUrl: options.controlUrl,
        instance: options.instance,
      };
      const { outcome, record } = await put(options, encode(options, header, { body, layout: { format: 1 } }));
      if (outcome.kind === "mine")
        return await afterClaim({
          ...{ options, nonce, startedAtMs: outcome.startedAtMs },
          claim: { ...record, sections: [] },
        });
      if (outcome.kind === "gone") return { kind: "void", boundary: outcome.boundary };
      if (rules.has("R1-claim-after-end-of-log")) return { kind: "beaten", record: outcome.record };
      while ((await reader.next()) !== undefined); // The mutant: claims after records that its host never applies.
    }

    async function afterClaim(setup: WriterSetup): Promise<ClaimOutcome> {
      if (rules.has("R4-boundary-check")) {
        const boundary = await retryUntilAnswered(retryPorts(options), () => reader.log.boundary());
        if (boundary >= setup.claim.header.position) return { kind: "void", boundary };
      }
      return { kind: "claimed", writer: new LogWriter(setup), record: setup.claim };
    }
  }

  /** Position of the last record written. */
  get position(): Position {
    return this.#position;
  }

  get hash(): string {
    return this.#hash;
  }

  /** Format of the next record. */
  get format(): RecordFormat {
    return this.#options.format?.() ?? 1;
  }

  /** Start of the last successful put, the claim included. */
  get startedAtMs(): number {
    return this.#startedAtMs;
  }

  /** False once an append has failed: that was the last one. */
  get isUsable(): boolean {
    return this.#state.kind !== "ended";
  }

  /**
   * Writes the next record; durable when it resolves. One at a time: a second call before that is a programming error.
   * Transient store failures are retried without limit, and reported to `onFailure`. Rejects with FencedError,
   * CorruptRecordError, StoreError `unsuitable`, or the signal's reason. The writer has then ended, and it is unknown
   * whether the record was written unless the writer was fenced.
   */
  async append(body: RecordBody, { signal, sections = [] }: AppendOptions = {}): Promise<Appended> {
    if (this.#state.kind === "ended") throw new WriterEndedError(this.#position, this.#state.cause);
    if (this.#state.kind === "busy") throw new Error("R2: one put in flight at a time");
    if (body.kind === "epoch") throw new Error("R1: an epoch record is written by a claim only");
    this.#assertNextPart(body);
    this.#state = { kind: "busy" };
    try {
      const encoded =
        this.#takePrepared(body, sections) ?? this.#encode(body, layoutOf(this.format, sections), this.#memory);
      this.#tip = { position: encoded.record.header.position, hash: encoded.record.hash };
      const { outcome, record } = await put(this.#options, encoded, signal);
      const startedAtMs = this.#assertMine(outcome, record.header.position);
      this.#position = record.header.position;
      this.#hash = record.hash;
      this.#startedAtMs = startedAtMs;
      if (body.kind === "commit") this.#flush = { part: body.part, parts: body.parts };
      this.#state = { kind: "ready" };
      return { record, startedAtMs };
    } catch (error) {
      this.#state = { kind: "ended", cause: error };
      throw error;
    }
  }

  /**
   * Prepares the record after the one in progress (or the last one), unless another comes first: encodes it now, and
   * announces it to the store. `append` of this same body, without sections, uses it.
   */
  prepare(body: RecordBody): void {
    if (this.#state.kind === "ended") return;
    const encoded = this.#encode(body, layoutOf(this.format, []));
    this.#prepared = encoded;
    this.#options.reader.log.prepare(encoded.record.header.position, encoded.bytes, stagedOf(body, encoded.bytes));
  }

  /** Bytes before the first page of a commit of one database, as long as the format stays. */
  bytesBeforePages(name: string): number {
    return encodedBeforePages(name, layoutOf(this.format, []));
  }

  /** What may become a record of this writer (`Store.stage`). Throws StoreError. */
  stage(bytes: Uint8Array): Promise<StagedBytes | undefined> {
    return this.#options.reader.log.stage(bytes);
  }

  /** A prepared record is for the next record or for none. */
  #takePrepared(body: RecordBody, sections: readonly SectionToWrite[]): EncodedRecord | undefined {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    const follows =
      prepared?.record.header.previousHash === this.#hash && prepared.record.header.position === this.#position + 1;
    return follows && prepared.record.body === body && prepared.record.format === this.format && sections.length === 0
      ? prepared
      : undefined;
  }

  /** `memory`: only while no put is in flight that has its bytes there. */
  #encode(body: RecordBody, layout: RecordLayout, memory?: RecordMemory): EncodedRecord {
    return encode(
      this.#options,
      headerAfter(this.#options, this.#nonce, this.#tip.position, this.#tip.hash, this.epoch),
      { body, layout, memory },
    );
  }

  /** Checks R2, in this one place. The mutant takes every `exists` for its own lost reply. */
  #assertMine(outcome: RecordPut, position: Position): number {
    if (outcome.kind === "mine") return outcome.startedAtMs;
    if (this.#options.rules.has("R2-fenced-on-exists")) throw fencedBy(position, outcome);
    return this.#options.clock.now();
  }

  /** Parts of a flush follow each other: 1..parts, without another commit in between. */
  #assertNextPart(body: RecordBody): void {
    if (body.kind !== "commit") return;
    const { part, parts } = this.#flush;
    const expected = part === parts ? 1 : part + 1;
    if (body.part !== expected || (expected > 1 && body.parts !== parts)) {
      throw new Error(`part ${body.part} of ${body.parts} after part ${part} of ${parts}`);
    }
  }
}

/** Makes the record before the claim durable; see the head comment. Returns an outcome only if that ends the claim. */
async function putLastAgain(options: ClaimOptions): Promise<ClaimOutcome | undefined> {
  const { last, lastBytes, position, log } = options.reader;
  // The reader starts at a checkpoint, whose position was durable.
  if (last === undefined || lastBytes === undefined) return undefined;
  const again = await putRecord({ ...putPorts(options), position, bytes: lastBytes });
  if (again.kind === "mine") return undefined;
  if (again.kind === "other")
    throw new CorruptRecordError(
      position,
      log.nameOf(position),
      `another record, ${again.record.hash}`,
      `the one read before, ${last.hash}`,
    );
  return { kind: "void", boundary: again.boundary };
}

interface Content {
  readonly body: RecordBody;
  readonly layout: RecordLayout;
  readonly memory?: RecordMemory | undefined;
}

interface EncodedRecord {
  readonly record: WrittenRecord;
  readonly bytes: Uint8Array;
}

function encode(options: ClaimOptions, header: RecordHeader, { body, layout, memory }: Content): EncodedRecord {
  const { serviceTag, keys } = options.reader.log;
  const { bytes, hash } = encodeRecord(serviceTag, header, body, layout, keys?.forRecords, memory);
  const steadVersion = layout.format === 1 ? undefined : programVersion;
  return { record: { header, body, format: layout.format, steadVersion, hash }, bytes };
}

async function put(
  options: ClaimOptions,
  { record, bytes }: EncodedRecord,
  signal?: AbortSignal,
): Promise<{ outcome: RecordPut; record: WrittenRecord }> {
  const { body, header } = record;
  const outcome = await putRecord({
    ...putPorts(options),
    signal: body.kind === "epoch" ? options.signal : signal,
    position: header.position,
    bytes,
  });
  return { outcome, record };
}

/** Undefined: the record does not stand where its pages were laid out. */
function stagedOf(body: RecordBody, bytes: Uint8Array): StagedPut | undefined {
  const laidOut = body.kind === "commit" ? body.databases[0]?.laidOut : undefined;
  return laidOut?.bytes.buffer === bytes.buffer ? laidOut : undefined;
}

/**
 * A required section needs format 2, also where a host may read only the other: such a host must not apply the record,
 * and with this number it does not (src/core/record-format.ts).
 */
function layoutOf(format: RecordFormat, sections: readonly SectionToWrite[]): RecordLayout {
  if (format === 2 || sections.some(({ isRequired }) => isRequired)) return { format: 2, sections };
  return { format };
}

function headerAfter(
  options: ClaimOptions,
  nonce: string,
  position: Position,
  previousHash: string,
  epoch: number,
): RecordHeader {
  return {
    position: position + 1,
    epoch,
    host: options.host,
    nonce,
    wallTimeMs: options.clock.wallTime(),
    previousHash,
  };
}

function retryPorts(options: ClaimOptions): RetryPorts {
  return { clock: options.clock, random: options.random, signal: options.signal, onFailure: options.onFailure };
}

function putPorts(options: ClaimOptions): RetryPorts & { log: Log; rules: Rules } {
  return { ...retryPorts(options), log: options.reader.log, rules: options.rules };
}
