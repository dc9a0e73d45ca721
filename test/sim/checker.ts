/**
 * What must be true of a history.
 *
 * At once, when it happens: no position gets two contents; what a host releases is in the log by then (the gate);
 * epochs of what is released never go back, so that at most one host acknowledges at any moment (R2, R5); replicas have
 * the primary's checksums; nothing that was committed and is not in the log is thrown away unless it was set aside. At
 * the end: every acknowledged write is in the final state exactly once, what was refused is not, and the history is
 * linearizable, reads included (so no read saw state that was undone later).
 */
import { checksumText, sameChecksum } from "../../src/capture/page-hashes.ts";
import type { DatabaseDelta } from "../../src/core/delta.ts";
import type { Section } from "../../src/core/flush.ts";
import { positionOfKey } from "../../src/vault/keys.ts";
import { boundaryPrefix, logPrefix } from "../../src/vault/log/log-key.ts";
import type { RecordFormat } from "../../src/core/record-format.ts";
import { decodeRecord, serviceTagOf } from "../../src/vault/log/record-codec.ts";
import { FileChecker, type FileCounts } from "./file-checker.ts";
import type { Operation } from "./history.ts";
import { checkLinearizable, type Event, type Model } from "./linearizability.ts";
import type { Answer, Request } from "./messages.ts";
import { checkRegister } from "./registers.ts";
import { emptyReading, type Reading, readingAfter, registerPage, SimDatabase } from "./sim-database.ts";
import type { FileTree } from "../../src/core/files/file-tree.ts";
import { RetainedPoints } from "./retained-points.ts";
import type { SimFiles } from "./sim-files.ts";
import type { HostWatch } from "./sim-host.ts";
import { checkerKeys, type SimVault } from "./sim-vault.ts";
import type { World } from "./world.ts";

export interface CheckerOptions {
  readonly world: World;
  readonly service: string;
  readonly pageSize: number;
  readonly keys: number;
  /** One request of so many has a file; 0: none has. */
  readonly fileEvery: number;
  readonly coversIncoming: boolean;
}

export interface Claim {
  readonly atMs: number;
  readonly epoch: number;
  readonly host: string;
}

/**
 * An application gets a request once, and once more when it was lost: one that ends applications or hosts is not
 * carried on.
 */
const givenMax = 2;

export class Checker implements HostWatch {
  readonly violations: string[] = [];
  readonly claims: Claim[] = [];
  /** The log's own state, applied from every record that was ever created, in order. */
  readonly log: SimDatabase;
  setAsides = 0;
  /** Of files that the log does not have. */
  fileSetAsides = 0;
  released = 0;
  readonly #options: CheckerOptions;
  readonly #serviceTag: Uint8Array;
  readonly #hashes = new Map<number, string>();
  readonly #states = new Set<string>();
  readonly #durable = new Set<number>();
  /** How often each request was given to an application. */
  readonly #given = new Map<number, number>();
  /** Of each put. */
  readonly #executions = new Map<number, number>();
  readonly #files: FileChecker;
  #parts: DatabaseDelta[] = [];
  #releasedEpoch = 0;
  #position = 0;
  #format: RecordFormat = 1;
  #boundary = 0;

  constructor(options: CheckerOptions) {
    this.#options = options;
    this.#serviceTag = serviceTagOf(options.service);
    this.log = new SimDatabase(options.pageSize, options.keys);
    const onWrong = (what: string): void => this.onViolation(`${what}, as of position ${this.#position}`);
    const { fileEvery: every, coversIncoming } = options;
    this.#files = new FileChecker({ log: this.log, every, coversIncoming, onWrong });
    this.#states.add(this.#stateOf(this.log, this.#files.checksum));
  }

  /** The vault is there. */
  watch(vault: SimVault): void {
    vault.onCreated = (key, bytes) => this.onCreated(key, bytes);
    if (this.#options.fileEvery > 0)
      this.#files.points = new RetainedPoints(vault, (what) =>
        this.onViolation(`${what}, as of position ${this.#position}`),
      );
  }

  get fileCounts(): FileCounts {
    return this.#files.counts;
  }

  /** Of the last record of the log. */
  get position(): number {
    return this.#position;
  }

  onViolation(what: string): void {
    if (this.violations.length < 20) this.violations.push(`at ${this.#options.world.now.toFixed(1)} ms: ${what}`);
    this.#options.world.say("checker", `VIOLATION ${what}`);
  }

  onCreated(key: string, bytes: Uint8Array): void {
    this.#boundary = Math.max(this.#boundary, positionOfKey(boundaryPrefix, key) ?? 0);
    const position = positionOfKey(logPrefix, key);
    if (position === undefined) return;
    const { header, body, sections, format, hash } = decodeRecord(
      this.#serviceTag,
      position,
      bytes,
      undefined,
      checkerKeys,
    );
    const before = this.#hashes.get(position);
    if (before !== undefined) {
      // A claim may land where retention has deleted a record: it is void (R4), and nothing may follow it.
      const isVoid = body.kind === "epoch" && position <= this.#boundary;
      if (before !== hash && !isVoid)
        this.onViolation(`position ${position} got a second content, by ${header.host} in epoch ${header.epoch}`);
      return;
    }
    if (position !== this.#position + 1)
      this.onViolation(
        `position ${position} was written after position ${this.#position}, by ${header.host} in epoch ${header.epoch}`,
      );
    this.#hashes.set(position, hash);
    this.#position = Math.max(position, this.#position);
    this.#noteFormat(position, body.kind, format);
    if (body.kind === "epoch") {
      this.#parts = [];
      this.#files.beginFlush();
      this.claims.push({ atMs: this.#options.world.now, epoch: header.epoch, host: header.host });
      this.#options.world.say("log", `${position}: ${header.host} claims epoch ${header.epoch}`);
    } else if (body.kind === "commit") {
      this.#onCommit(body, sections);
    } else if (body.kind === "checkpoint") {
      this.#files.points?.onCheckpoint(body.checkpointPosition);
    } else if (body.kind === "vacate") {
      this.#options.world.say("log", `${position}: ${header.host} vacates`);
    }
  }

  /** Claims are of format 1 always. */
  #noteFormat(position: number, kind: string, format: RecordFormat): void {
    if (kind === "epoch" && format !== 1) this.onViolation(`the claim at position ${position} is of format ${format}`);
    if (kind === "epoch" || format === this.#format) return;
    this.#format = format;
    this.#options.world.say("log", `${position}: records are of format ${format} from here on`);
  }

  onGiven({ id, kind, poison }: Request): void {
    const times = (this.#given.get(id) ?? 0) + 1;
    this.#given.set(id, times);
    if (times > givenMax)
      this.onViolation(
        `request ${id} (${poison === undefined ? kind : `poison: ${poison}`}) was given to an application ${times} times`,
      );
  }

  onExecuted(host: string, { id, kind }: Request): void {
    this.#files.onExecuted(host, id);
    if (kind === "put") this.#executions.set(id, (this.#executions.get(id) ?? 0) + 1);
  }

  onRelease(host: string, epoch: number, request: Request, answer: Answer): void {
    this.released += 1;
    if (answer.kind === "ok") this.#files.onReleased(host, request.id);
    if (epoch < this.#releasedEpoch)
      this.onViolation(
        `${host} released request ${request.id} in epoch ${epoch} after epoch ${this.#releasedEpoch} had served`,
      );
    this.#releasedEpoch = Math.max(epoch, this.#releasedEpoch);
    if (request.kind === "append" && !this.#durable.has(request.id))
      this.onViolation(`${host} acknowledged write ${request.id}, which is not in the log`);
    // Of a put that others overwrote within its flush only the count is there.
    if (answer.kind === "ok" && answer.register.puts > this.log.puts)
      this.onViolation(`${host} released put ${answer.register.puts}, and ${this.log.puts} are in the log`);
  }

  onUploaded(path: string): void {
    this.#files.onUploaded(path);
  }

  onRemoved(host: string, { id }: Request, path: string): void {
    this.#files.onRemoved(host, id, path);
  }

  /** True if they are the files of the log. */
  hasFilesOf(files: SimFiles): boolean {
    return (
      this.#options.fileEvery === 0 ||
      checksumText(files.tree(this.#files.matcher).checksum) === checksumText(this.#files.checksum)
    );
  }

  #stateOf({ hashes }: SimDatabase, files: Uint8Array): string {
    return `${checksumText(hashes.checksum())} ${checksumText(files)}`;
  }

  onForgotten(host: string, database: SimDatabase | undefined, files: Uint8Array, left: FileTree | undefined): void {
    if (left !== undefined) this.#files.onForgotten(host, left);
    if (database?.isWritten !== true || database.isDamaged) return;
    if (!this.#states.has(this.#stateOf(database, files)))
      this.onViolation(`${host} threw away commits or files that are not in the log and were not set aside`);
  }

  onSetAside(_host: string, what: "state" | "files"): void {
    if (what === "state") this.setAsides += 1;
    else this.fileSetAsides += 1;
  }

  /** After the last read of all: what the clients were told, against the log. */
  async finish(operations: readonly Operation[]): Promise<void> {
    await this.#files.finish();
    const final = new Map<number, number>();
    for (let key = 0; key < this.#options.keys; key++)
      for (const id of this.log.ids(key)) final.set(id, (final.get(id) ?? 0) + 1);
    for (const [id, times] of final)
      if (times > 1) this.onViolation(`write ${id} is in the final state ${times} times`);
    for (const { id, kind, outcome } of operations) {
      if (kind === "read") continue;
      if (kind === "append" && outcome.kind === "ok" && !final.has(id))
        this.onViolation(`write ${id} was acknowledged and is lost`);
      if (outcome.kind === "not-executed" && (kind === "put" ? this.#durable.has(id) : final.has(id)))
        this.onViolation(`${kind} ${id} was called not executed and was executed`);
    }
    for (let key = 0; key < this.#options.keys; key++) {
      this.#checkKey(key, operations, final);
      this.#checkRegister(key, operations);
    }
  }

  #checkRegister(key: number, operations: readonly Operation[]): void {
    const ofKey = operations.filter((operation) => operation.key === key);
    const writes = ofKey
      .filter(({ kind }) => kind === "put")
      .map(({ id, calledAt, returnedAt }) => ({ id, calledAt, returnedAt, executions: this.#executions.get(id) ?? 0 }));
    const reads = ofKey.flatMap(({ kind, calledAt, returnedAt, outcome }) =>
      kind !== "put" && outcome.kind === "ok" ? [{ value: outcome.value, calledAt, returnedAt }] : [],
    );
    const wrong = checkRegister(writes, reads);
    if (wrong !== undefined) this.onViolation(`the register of key ${key} is not linearizable: ${wrong}`);
  }

  #checkKey(key: number, operations: readonly Operation[], final: ReadonlyMap<number, number>): void {
    const events = operations.flatMap((operation) => eventOf(operation, key, final));
    const verdict = checkLinearizable(events, listModel(new Map(this.log.ids(key).map((id, index) => [id, index]))));
    if (verdict.kind === "linearizable") return;
    if (verdict.kind === "gave-up")
      return this.onViolation(`key ${key}: too many possibilities to judge linearizability`);
    const stuck = verdict.stuck.map(
      ({ input, output, calledAt }) =>
        `${input.kind} ${input.id} called at ${calledAt.toFixed(1)} saw ${output?.count ?? "nothing"}`,
    );
    this.onViolation(
      `key ${key} is not linearizable: after ${verdict.longest.length} operations of ${events.length} none of these can follow: ${stuck.slice(0, 4).join("; ")}`,
    );
  }

  #onCommit(
    { part, parts, databases }: { part: number; parts: number; databases: readonly DatabaseDelta[] },
    sections: readonly Section[],
  ): void {
    if (part === 1) {
      this.#parts = [];
      this.#files.beginFlush();
    }
    this.#files.addPart(sections);
    this.#parts.push(...databases);
    if (part < parts) return;
    for (const delta of this.#parts) {
      this.log.apply(delta);
      for (const { number, content } of delta.pages) this.#noteIds(number, content);
    }
    const wanted = this.#parts.at(-1)?.checksum;
    if (wanted !== undefined && !sameChecksum(wanted, this.log.hashes.checksum()))
      this.onViolation(`the flush at position ${this.#position} does not give the checksum that it states`);
    this.#parts = [];
    this.#files.endFlush(this.#position);
    this.#states.add(this.#stateOf(this.log, this.#files.checksum));
  }

  /**
   * Every word that could be an id: a page of a list holds a count and then ids, that of the registers one for each
   * key.
   */
  #noteIds(number: number, content: Uint8Array): void {
    if (number === 1) return;
    const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
    const isRegisters = number === registerPage;
    const count = isRegisters ? this.#options.keys - 1 : Math.min(view.getUint32(0, true), content.byteLength / 4 - 1);
    for (let i = isRegisters ? 0 : 1; i <= count; i++) {
      const id = view.getUint32(i * 4, true);
      if (id === 0) continue;
      this.#durable.add(id);
      this.#files.onRow(id);
    }
  }
}

type Input = { readonly kind: "append" | "read"; readonly id: number };

/** A write of unknown outcome counts as called when it is in the final state, and as never made when it is not. */
function eventOf(
  { id, kind, key, calledAt, returnedAt, outcome }: Operation,
  wanted: number,
  final: ReadonlyMap<number, number>,
): Event<Input, Reading>[] {
  if (key !== wanted) return [];
  // A put reads the list.
  if (outcome.kind === "ok")
    return [
      { calledAt, returnedAt, input: { kind: kind === "append" ? "append" : "read", id }, output: outcome.reading },
    ];
  if (kind !== "append" || !final.has(id)) return [];
  return [{ calledAt, returnedAt: Infinity, input: { kind, id }, output: undefined }];
}

/** Lists only grow, so the final list says in which order writes took effect: no other order need be tried. */
const listModel = (order: ReadonlyMap<number, number>): Model<Reading, Input, Reading> => ({
  initial: emptyReading,
  step: (state, { kind, id }, output) => {
    if (kind === "append" && order.get(id) !== state.count) return undefined;
    const after = kind === "append" ? readingAfter(state, id) : state;
    return output === undefined || (output.count === after.count && output.fingerprint === after.fingerprint)
      ? after
      : undefined;
  },
  keyOf: ({ count }) => String(count),
});
