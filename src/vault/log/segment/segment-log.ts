/**
 * The log in segments: files that the owner of a term fills from the front, so that a commit costs one write and one
 * sync without metadata. It needs a file system that one kernel has (segment-files.ts says why); elsewhere the log is a
 * collection of objects (store-log.ts).
 *
 * **The claim is the lock, the segment is the log.** A host that wants to lead creates `claims/<n>`, exclusively and
 * durably, n being one more than the newest. Then it reads where the log ends, and puts `seals/<n>`: where the log
 * before ends, and its `epoch` record. Records of the term follow in its segments, written by this process alone.
 *
 * Why nothing acknowledged is lost, and no two terms acknowledge (a flag protocol of two parties, in which each sets
 * its flag and then looks at the other's):
 * - The owner of term m writes a record, syncs it, and then looks for the claim after its own. Only if there is none,
 *   the record counts and its put resolves. So if it counts, it was durable before the claim was created, and the
 *   claimant, which reads after it has created the claim, finds it.
 * - The same holds for a seal: it counts if it is durable and no later claim is there afterwards; then every later
 *   claimant finds it. If one is there, that one's seal says whether it found it. A claimant makes the seal that it
 *   builds on durable (its owner may not have), and carries the last record that it has read in its own seal: that one
 *   may be written and not synced, and would be lost with the power of the vault.
 * - A record or seal that did not count may be found or not by the next claimant: its writer is told by the claimant's
 *   seal, and until then its put is ambiguous (R3).
 *
 * A claim whose position is taken comes to nothing: its seal says so, and ends what was undecided; the term before
 * continues, and looks for the claim after that. A claim whose host died before its seal is ended in the same way after
 * a second, and one more for each that was ended in a row before it, by the owner of the term before or by the next
 * claimant. Hence terms are numbered apart from epochs.
 *
 * Claims have no gap: a claimant makes the newest claim before its own durable, since a writer looks for the next
 * number only, and a power failure could take that one alone.
 *
 * Readers follow what counts. The owner tells by a mark, written after the look and not synced: it may fail, and after
 * a power failure it may be an earlier one or none. Then readers see less, and what a reader has seen once it
 * continues to see. A host that misses a record of which it has heard decides the end by a claim that comes to nothing
 * (`decideEnd`): its seal tells all readers.
 *
 * **One process for all hosts.** A vault server (src/remote/) takes the whole log when it starts: by a claim that comes
 * to nothing, whose content says so (`takeAll`). It owns the last term from then on, as its seal says where it ends.
 * The owner before, a server or a host, finds the claim at its next look, after its record was durable; the record does
 * not count for it, and if it was there when the server read, it is in the log. What it writes later is in files that
 * do not apply, since the server begins a file of its own behind the end first. So of two servers of one folder, and of
 * a server and a host with the folder, the one that took it later continues, and the other acknowledges nothing and
 * ends. From then on any claim of another process ends this one's.
 *
 * How one would try to break it:
 * - The writer sleeps between its look and its answer: the record counts, and the next claimant finds it.
 * - Two claims in a row, and the first dies before its seal: no record of it counts, and the second does not name it.
 * - The first is slow, and seals after the second has looked: it sees the second's claim, and does not count.
 * - A claimant that was overtaken claims again much later: its open claim is below the top, so it takes a new number.
 * - The put of a claim fails and comes to nothing, and another host takes that number: a claim is this process's by its
 *   content, not because it has tried the number.
 * - The seal of an attempt that failed was seen before the next attempt began: that one says `exists`, so that the
 *   lease counts from the first (R5), and every failure of a claim is ambiguous.
 * - A sync fails: the pages may be gone although the next sync succeeds, so that file is never written again; the
 *   record goes, as it is, to a new segment, which applies from its position on.
 * - A record is torn at the end: it did not count. Torn with another behind it, or before the end that a seal names, it
 *   is damage, and is told as such.
 * - Retention removes whole segments, never claims and seals: a claim cannot succeed in a hole (R4), since it reads the
 *   end of the log after it was created.
 *
 * Attacked in test/vault/log/segment/segment-writer.test.ts: "two claimants in a row, and the first dies at any of its
 * calls", "that seals after the next one has sealed does not lead", "whose put of a claim fails while another host
 * takes its number", "whose claim others overtook long ago claims again", "a claim whose seal was put by an attempt
 * that failed", "whose sync fails continues in a new segment", "of which a part was written is not in the log".
 */
import type { StagedBytes } from "../../../core/delta.ts";
import { allRules, type Rules } from "../../../core/rules.ts";
import { type Clock, systemClock } from "../../../runtime/clock.ts";
import { type Random, systemRandom } from "../../../runtime/random.ts";
import { isVaultError } from "../../errors.ts";
import { padPosition } from "../../keys.ts";
import type { EpochRecord, Position } from "../../record.ts";
import { deleteAll } from "../../store/delete-all.ts";
import type { SegmentFiles } from "../../store/segment-files.ts";
import type { PutOutcome, StagedPut, Store } from "../../store/store.ts";
import { Boundary } from "../boundary.ts";
import { decodeOf, isEpoch, type Log, type Removed, type RemoveOptions } from "../log.ts";
import { isEpochRecord, serviceTagOf } from "../record-codec.ts";
import type { VaultKeys } from "../../store/vault-keys.ts";
import { largePrefix, parseLargeKey, parseSegmentKey, segmentKey, segmentPrefix } from "./segment-key.ts";
import { type SegmentSizes, SegmentWriter, usualSizes } from "./segment-writer.ts";
import { type SegmentSpan, TermRecords } from "./term-records.ts";
import { type Chain, type LogTerm, Terms } from "./terms.ts";

export interface SegmentLogOptions {
  readonly store: Store;
  readonly files: SegmentFiles;
  readonly service: string;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly sizes?: SegmentSizes;
  readonly rules?: Rules;
  readonly keys?: VaultKeys | undefined;
}

interface PositionsWanted {
  readonly after?: Position;
  readonly upTo?: Position;
  readonly readable?: ReadonlySet<string>;
}

export class SegmentLog implements Log {
  readonly serviceTag: Uint8Array;
  readonly keys: VaultKeys | undefined;
  /** An append ends when its write has; a larger record is an object, as `StoreLog` has it. */
  readonly reusableBytesMax: number;
  readonly #store: Store;
  readonly #boundary: Boundary;
  readonly #terms: Terms;
  readonly #records: TermRecords;
  readonly #writer: SegmentWriter;
  readonly #rules: Rules;

  constructor(options: SegmentLogOptions) {
    const { store, files, service, clock = systemClock, random = systemRandom } = options;
    const { sizes = usualSizes, rules = allRules } = options;
    this.#rules = rules;
    this.keys = options.keys;
    this.reusableBytesMax = sizes.recordMost;
    this.serviceTag = serviceTagOf(service);
    this.#store = store;
    this.#boundary = new Boundary(store);
    this.#terms = new Terms(store, files);
    this.#records = new TermRecords(store, files, this.#terms);
    const [terms, records] = [this.#terms, this.#records];
    this.#writer = new SegmentWriter({
      store,
      files,
      terms,
      records,
      clock,
      random,
      sizes,
      rules,
      isClaim: isEpochRecord,
    });
  }

  nameOf(position: Position): string {
    return `record ${padPosition(position)}`;
  }

  put(position: Position, bytes: Uint8Array): Promise<PutOutcome> {
    return this.#writer.put(position, bytes);
  }

  prepare(position: Position, bytes: Uint8Array, ahead?: StagedPut): void {
    this.#writer.prepare(position, bytes, ahead);
  }

  stage(bytes: Uint8Array): Promise<StagedBytes | undefined> {
    return this.#store.stage(bytes);
  }

  async get(position: Position): Promise<Uint8Array | undefined> {
    const chain = await this.#terms.settled();
    const term = chain.terms.findLast(({ start }) => start <= position);
    if (term === undefined || position > (term.end ?? (await this.#lastIn(chain)))) return undefined;
    return this.#read(term, position);
  }

  positions(after: Position = 0): Promise<Position[]> {
    return this.#positions({ after });
  }

  /** `readable`: keys of segments that are known to have all their records: they are not read. */
  async #positions({ after = 0, upTo = Infinity, readable }: PositionsWanted): Promise<Position[]> {
    const chain = await this.#terms.settled();
    const end = await this.#lastIn(chain);
    const found: Position[] = [];
    for (const term of chain.terms) {
      const last = Math.min(term.end ?? end, upTo);
      if (last <= after) continue;
      const present = new Set([term.start]);
      for (const span of await this.#records.spans(term)) {
        if (span.name.first > last) break;
        const isReadable = readable?.has(segmentKey(span.name)) === true;
        if (!isReadable) await span.view.extend(Math.min(span.last, last));
        addRange(present, span.name.first, Math.min(isReadable ? Infinity : span.view.last, span.last, last));
        const carried = term.carried?.position;
        if (carried !== undefined && carried >= span.name.first && carried <= span.last) present.add(carried);
      }
      const asked = [...present].filter((position) => position > after && position <= upTo);
      for (const position of asked.sort((a, b) => a - b)) found.push(position);
    }
    return found;
  }

  async strangeNames(): Promise<string[]> {
    const [segments, large] = [await this.#store.list(segmentPrefix), await this.#store.list(largePrefix)];
    return [
      ...segments.filter((key) => parseSegmentKey(key) === undefined),
      ...large.filter((key) => parseLargeKey(key) === undefined),
    ];
  }

  boundary(): Promise<Position> {
    return this.#boundary.read();
  }

  async removeUpTo(boundary: Position, { dryRun = false, signal }: RemoveOptions = {}): Promise<Removed> {
    signal?.throwIfAborted();
    const removable = await this.#removableUpTo(boundary, signal);
    const readable = new Set(removable.map(({ name }) => segmentKey(name)));
    const before = await this.#positions({ upTo: boundary, readable });
    const gone = new Set<Position>();
    for (const { name, last } of removable) addRange(gone, name.first, last);
    const removed = before.filter((position) => gone.has(position));
    if (!dryRun && removable.length > 0) {
      await this.#boundary.raise(Math.max(await this.boundary(), ...removable.map(({ last }) => last)));
      await deleteAll(
        this.#store,
        [...(await this.#largeIn(gone)), ...removable.map(({ name }) => segmentKey(name))],
        signal,
      );
    }
    return { names: removed.map((position) => this.nameOf(position)), kept: before.length - removed.length };
  }

  async newestEpoch(signal?: AbortSignal): Promise<EpochRecord | undefined> {
    for (const { start, epoch } of (await this.#terms.settled()).terms.toReversed()) {
      signal?.throwIfAborted();
      try {
        const record = await decodeOf(this, start, epoch);
        if (isEpoch(record)) return record;
      } catch (error) {
        if (!isVaultError(error)) throw error;
      }
    }
    return undefined;
  }

  /** Returns the position of the last claim before one, without verifying it: a vault server has no keys. 0: none. */
  async newestClaim(before = Infinity): Promise<Position> {
    const { terms } = await this.#terms.settled();
    return terms.findLast(({ start, epoch }) => start < before && isEpochRecord(epoch))?.start ?? 0;
  }

  decideEnd(): Promise<boolean> {
    return this.#writer.decideEnd();
  }

  /** Makes this process the only one that writes this log, for all hosts; see the head comment. Throws StoreError. */
  takeAll(): Promise<void> {
    return this.#writer.takeAll();
  }

  async isEmpty(): Promise<boolean> {
    for (const number of await this.#terms.sealed())
      if ((await this.#terms.seal(number))?.epoch !== undefined) return false;
    return (await this.boundary()) === 0;
  }

  async #read(term: LogTerm, position: Position): Promise<Uint8Array | undefined> {
    if (position === term.start) return term.epoch.slice();
    const entry = await this.#records.get(term, position);
    if (entry?.header?.kind !== "object") return entry?.content.slice();
    const key = Buffer.from(entry.content).toString();
    const named = parseLargeKey(key);
    // Another key is no name of this record: the bytes are returned as they are, for the record's own hashes to refuse.
    return named?.term === term.number && named.position === position ? this.#store.get(key) : entry.content.slice();
  }

  async #lastIn({ terms, settled }: Chain): Promise<Position> {
    const last = terms.at(-1);
    if (last === undefined) return 0;
    if (!this.#rules.has("segment-only-what-counts")) return this.#records.written(last);
    return Math.max(settled, await this.#records.counted(last), this.#writer.tailOf(last));
  }

  /** Returns the segments of which every record may go and can be read. */
  async #removableUpTo(boundary: Position, signal: AbortSignal | undefined): Promise<SegmentSpan[]> {
    const removable: SegmentSpan[] = [];
    for (const term of (await this.#terms.settled()).terms)
      for (const span of await this.#records.spans(term)) {
        signal?.throwIfAborted();
        if (span.last <= boundary && (await this.#records.isReadable(term, span))) removable.push(span);
      }
    return removable;
  }

  async #largeIn(gone: ReadonlySet<Position>): Promise<string[]> {
    const keys = await this.#store.list(largePrefix);
    return keys.filter((key) => gone.has(parseLargeKey(key)?.position ?? 0));
  }
}

function addRange(positions: Set<Position>, first: Position, last: Position): void {
  for (let position = first; position <= last; position += 1) positions.add(position);
}
