/**
 * Walks the whole log and continues after damage: an unreadable record is a finding, not an end.
 *
 * Up to the boundary only claims remain, and claims that landed in the hole are void; each is verified by itself. After
 * the boundary the records must follow each other without a gap; after a damaged one the walk restarts at the next.
 */
import type { Flush } from "../../core/flush.ts";
import { allRules } from "../../core/rules.ts";
import { CorruptRecordError, UnknownFormatError } from "../errors.ts";
import { damage, type Finding, notice } from "./finding.ts";
import { FlushAssembler } from "../log/flush-assembler.ts";
import type { JournalProof } from "../checkpoint/flush-proof.ts";
import { type Log, readRecord } from "../log/log.ts";
import { LogReader, type LogStart } from "../log/log-reader.ts";
import type { LogRecord, Position } from "../record.ts";
import { messageOf } from "../../runtime/operator-error.ts";

export interface LogReport {
  readonly findings: readonly Finding[];
  readonly records: number;
  readonly lastPosition: Position;
  readonly epoch: number;
  readonly host: string | undefined;
  /** The provably ordered parts: first and last position of each unbroken run after the boundary, ascending. */
  readonly runs: readonly (readonly [first: Position, last: Position])[];
  /** Manifests that a readable `checkpoint` record announces: position → hash. */
  readonly announced: ReadonlyMap<Position, string>;
  /** Hash of the record at each position that a run covers; a checkpoint at that position must carry it. */
  readonly hashes: ReadonlyMap<Position, string>;
}

export interface LogWalkOptions {
  readonly isCopy?: boolean | undefined;
  /** In records. */
  readonly onProgress?: ((records: number, total: number) => void) | undefined;
}

/**
 * `start`: position, hash and epoch at the boundary, from the checkpoint there; undefined if it is not available.
 * `proof` takes every record in order; without it, flushes are not replayed. A copy of a vault ends where its first
 * record after the boundary is missing (copy/vault-copier.ts).
 */
export async function verifyLog(
  log: Log,
  boundary: Position,
  start: LogStart | undefined,
  proof?: JournalProof,
  { isCopy = false, onProgress }: LogWalkOptions = {},
): Promise<LogReport> {
  const { positions, ahead } = endingAt(isCopy, boundary, await log.positions());
  const findings = (await log.strangeNames()).map((name) =>
    notice("strange-key", name, `${name} is not a record of the log`),
  );
  if (ahead[0] !== undefined)
    findings.push(
      notice(
        "copied-ahead",
        log.nameOf(ahead[0]),
        `${ahead.length} records beyond position ${positions.at(-1) ?? boundary} were copied before those between; they count once these are there`,
      ),
    );
  let walked = 0;
  const walk = new Walk(log, findings, proof, () => onProgress?.(++walked, positions.length));
  const claims = await walk.claimsUpTo(positions.filter((position) => position <= boundary));
  const after = positions.filter((position) => position > boundary);
  await walk.follow(after, boundary, start);
  reportVoidClaims(log, claims, walk.firstEpoch, findings);
  const boundaryNow = await log.boundary();
  const lastPosition = positions.at(-1) ?? 0;
  const { epoch, host, runs, announced, hashes } = walk;
  return {
    findings: findings.filter((finding) => (walk.gaps.get(finding) ?? Infinity) > boundaryNow),
    records: positions.length,
    lastPosition,
    epoch,
    host,
    runs,
    announced,
    hashes,
  };
}

/** Divides the positions of a copy where it ends. */
function endingAt(
  isCopy: boolean,
  boundary: Position,
  all: readonly Position[],
): { readonly positions: readonly Position[]; readonly ahead: readonly Position[] } {
  let last = boundary;
  for (const position of all) if (position === last + 1) last = position;
  const end = isCopy ? last : Infinity;
  return { positions: all.filter((position) => position <= end), ahead: all.filter((position) => position > end) };
}

class Walk {
  readonly #log: Log;
  readonly #findings: Finding[];
  readonly #proof: JournalProof | undefined;
  /** Called after each position. */
  readonly #onWalked: () => void;
  #flush: FlushAssembler;
  /** Missing ranges by first position: a range that retention has passed during the walk is not damage. */
  readonly gaps = new Map<Finding, Position>();
  firstEpoch: number | undefined;
  epoch = 0;
  host: string | undefined;
  readonly runs: [Position, Position][] = [];
  readonly announced = new Map<Position, string>();
  readonly hashes = new Map<Position, string>();

  constructor(log: Log, findings: Finding[], proof: JournalProof | undefined, onWalked: () => void) {
    this.#onWalked = onWalked;
    this.#log = log;
    this.#findings = findings;
    this.#proof = proof;
    this.#flush = this.#newFlush();
  }

  /** A flush of any size needs little memory: only what the proof needs of its pages is kept. */
  #newFlush(): FlushAssembler {
    return new FlushAssembler(this.#proof?.keeper ?? { keep: () => [], forget: () => undefined });
  }

  async claimsUpTo(positions: readonly Position[]): Promise<LogRecord[]> {
    const claims: LogRecord[] = [];
    let left = 0;
    for (const position of positions) {
      const record = await this.#decode(position);
      if (record?.body.kind === "epoch") claims.push(record);
      else if (record !== undefined) left += 1;
      this.#onWalked();
    }
    if (left > 0)
      this.#findings.push(
        notice(
          "left-over-record",
          this.#log.nameOf(positions[0] ?? 0),
          `${left} records up to the boundary are no longer needed; the next clean-up removes them`,
        ),
      );
    return claims;
  }

  async follow(positions: readonly Position[], boundary: Position, start: LogStart | undefined): Promise<void> {
    let expected = boundary + 1;
    let reader = start === undefined ? undefined : this.#readerAt(start);
    await this.#proof?.beginsAfter(boundary);
    for (const position of positions) {
      if (position !== expected) {
        const gap = damage(
          "log-gap",
          this.#log.nameOf(expected),
          `the log has no records at positions ${expected} to ${position - 1}`,
        );
        this.#findings.push(gap);
        this.gaps.set(gap, expected);
        reader = undefined;
      }
      expected = position + 1;
      if (reader === undefined) {
        reader = await this.#anchorAt(position);
        await this.#proof?.beginsAfter(position - 1);
      }
      if (reader !== undefined && !(await this.#take(reader))) reader = undefined;
      this.#onWalked();
    }
    if (this.#flush.isOpen) {
      this.#findings.push(
        notice(
          "unfinished-flush",
          this.#log.nameOf(expected - 1),
          "the log ends inside a flush of several parts; no client was told that it is durable, and it is not applied",
        ),
      );
    }
  }

  /** Returns true if the record is in order and the walk can continue from it. */
  async #take(reader: LogReader): Promise<boolean> {
    let record: LogRecord | undefined;
    let flush: Flush | undefined;
    try {
      record = await reader.next();
      if (record !== undefined) flush = this.#flush.push(record);
    } catch (error) {
      this.#findings.push(recordFinding(error));
      return false;
    }
    if (record === undefined) return false; // Removed while we walked.
    this.#count(record);
    await this.#proof?.take(record, flush, this.#flush.isOpen);
    return true;
  }

  #count(record: LogRecord): void {
    const { position, epoch, host } = record.header;
    const run = this.runs.at(-1);
    if (run?.[1] === position - 1) run[1] = position;
    else this.runs.push([position, position]);
    this.firstEpoch ??= record.body.kind === "epoch" ? epoch - 1 : epoch;
    this.epoch = epoch;
    this.host = host;
    this.hashes.set(position, record.hash);
    if (record.body.kind === "checkpoint") this.announced.set(record.body.checkpointPosition, record.body.manifestHash);
  }

  /** Returns a reader that trusts the record at the position, or undefined if even that record is damaged. */
  async #anchorAt(position: Position): Promise<LogReader | undefined> {
    this.#flush = this.#newFlush();
    const record = await this.#decode(position);
    if (record === undefined) return undefined;
    if (record.body.kind === "commit" && record.body.part > 1) {
      this.#findings.push(
        damage(
          "unfinished-flush",
          this.#log.nameOf(position),
          `the first parts of the flush that continues at position ${position} are missing`,
        ),
      );
      return undefined;
    }
    return this.#readerAt({ position: position - 1, hash: record.header.previousHash });
  }

  #readerAt(start: LogStart): LogReader {
    return new LogReader({ log: this.#log, start, rules: allRules });
  }

  async #decode(position: Position): Promise<LogRecord | undefined> {
    try {
      return await readRecord(this.#log, position);
    } catch (error) {
      this.#findings.push(recordFinding(error));
      return undefined;
    }
  }
}

/**
 * A claim below the boundary is void if the log continued with a lower epoch, or if another claim has the same epoch.
 */
function reportVoidClaims(
  log: Log,
  claims: readonly LogRecord[],
  epochAfter: number | undefined,
  findings: Finding[],
): void {
  const seen = new Map<number, Position>();
  for (const { header } of claims) {
    const twin = seen.get(header.epoch);
    const key = log.nameOf(header.position);
    if (epochAfter !== undefined && header.epoch > epochAfter)
      findings.push(
        notice(
          "void-claim",
          key,
          `the claim of epoch ${header.epoch} by ${header.host} landed below the boundary and is void`,
        ),
      );
    else if (twin !== undefined)
      findings.push(
        notice(
          "void-claim",
          key,
          `the claims of epoch ${header.epoch} at positions ${twin} and ${header.position} are below the boundary; one of them is void`,
        ),
      );
    seen.set(header.epoch, header.position);
  }
}

function recordFinding(error: unknown): Finding {
  if (error instanceof CorruptRecordError) return damage("corrupt-record", error.key, error.message);
  if (error instanceof UnknownFormatError) return damage("unknown-format", error.key, messageOf(error));
  throw error;
}
