/**
 * What one seed draws: sizes, rates, configuration. Every history has its own mix (swarm testing, Groce et al. 2012):
 * faults that are rarely or never drawn in one history are common in another, so that combinations come up that a
 * single average mix would never reach.
 */
import { SeededRandom } from "../../harness/seeded-random.ts";
import type { FrontHttpOptions } from "./front-http.ts";

export interface SimOptions {
  readonly hosts: number;
  /** The first so many run a version that reads records of format 1 only, until it is replaced. */
  readonly earlierHosts: number;
  /** The vault has keys; a host of an earlier version cannot read one that has. */
  readonly hasKeys: boolean;
  readonly isEncrypted: boolean;
  /** Hosts hold requests back before a flush; otherwise many execute while one is collected. */
  readonly pausesHandover: boolean;
  readonly gateways: number;
  readonly clients: number;
  readonly keys: number;
  readonly leaseMs: number;
  readonly driftMarginMs: number;
  /** Clocks run at 1 ± this. */
  readonly driftShare: number;
  readonly pollMs: number;
  readonly drainTimeoutMs: number;
  readonly probeIntervalMs: number;
  readonly probeTimeoutMs: number;
  readonly fall: number;
  readonly rise: number;
  /** Share of messages between gateways that arrive twice. */
  readonly againShare: number;
  readonly holdMs: number;
  readonly heldMax: number;
  readonly firstByteMs: number;
  readonly clientTimeoutMs: number;
  readonly thinkMs: number;
  readonly writeShare: number;
  /** Share of the writes that overwrite; the others append. */
  readonly putShare: number;
  /** Share of the reads that are poisonous: the application ends on them, or gives an answer that must be refused. */
  readonly poisonShare: number;
  /** Share of the requests that take the application far longer than its patience, in which it computes. */
  readonly longShare: number;
  readonly checkpointIntervalMs: number;
  readonly checkpointJournalBytes: number;
  readonly keepMin: number;
  readonly windowMs: number;
  readonly pageSize: number;
  readonly pagesPerPart: number;
  readonly diskMs: number;
  readonly applicationStartMs: number;
  readonly applicationExecMs: number;
  /** Of a request that computes for long. */
  readonly longMs: number;
  /** After which an application in which nothing moves is stuck; null: never. */
  readonly patienceMs: number | null;
  readonly syncShare: number;
  readonly checkpointShare: number;
  /** Share of the application's runs in which it starts a process that leaves its group. */
  readonly escapeShare: number;
  readonly networkDelayMs: readonly [number, number];
  readonly lossShare: number;
  readonly heldShare: number;
  readonly vaultLatencyMs: readonly [number, number];
  readonly vaultTimeoutMs: number;
  readonly lostReplyShare: number;
  readonly lostRequestShare: number;
  readonly lateShare: number;
  readonly staleMissMs: number;
  readonly lateDeleteShare: number;
  /** How long faults come. */
  readonly faultyMs: number;
  /** Nothing but a minority of the gateways ever suffers: the primary must stay. */
  readonly isWell: boolean;
  /** Mean time between faults. */
  readonly faultEveryMs: number;
  /** One request of so many has a file, if it is a write; 0: the service has no files. */
  readonly fileEvery: number;
  readonly files: SimFileOptions;
  /** Of bytes between a host's front and its application: how they are split, and when they begin. */
  readonly http: FrontHttpOptions;
  /** The limit of an operator's hooks; left out: hosts have none. Only in scenarios. */
  readonly hookMs?: number | undefined;
  readonly log: LogKind;
  /** For streams that are drawn apart. */
  readonly seed: number;
  /** The rest is about a log in segments. */
  readonly segmentBytes: readonly [first: number, most: number];
  readonly recordMost: number;
  readonly syncFailShare: number;
  readonly standStillShare: number;
  readonly standStillMs: number;
}

export type LogKind = "objects" | "segments";

/** Converges and serves within this time after the last fault has healed. */
export const healMsMax = 30_000;

const segmentsShare = 0.4;

/** Which log a seed has unless it is said, and what is wrong with its segments. Drawn apart from everything else. */
export function drawSegments(
  seed: number,
  { isWell }: Pick<SimOptions, "isWell">,
  log?: LogKind,
): Partial<SimOptions> & SegmentOptions {
  const dice = new SeededRandom(`log ${seed}`);
  const drawn = dice.chance(segmentsShare) ? "segments" : "objects";
  const sometimes = (share: number): number => (dice.chance(0.5) ? 0 : dice.between(0, share));
  const segments: SegmentOptions = {
    log: log ?? drawn,
    seed,
    segmentBytes: dice.pick([
      [2_048, 8_192],
      [8_192, 65_536],
      [65_536, 262_144],
    ]),
    recordMost: dice.pick([1_200, 4_000, 262_144]),
    syncFailShare: sometimes(0.05),
    standStillShare: sometimes(0.02),
    standStillMs: dice.pick([20, 300, 2_000]),
  };
  if (segments.log === "objects") return segments;
  return { ...segments, staleMissMs: 0, ...(isWell ? { syncFailShare: 0, standStillShare: 0 } : {}) };
}

export type SegmentOptions = Pick<
  SimOptions,
  "log" | "seed" | "segmentBytes" | "recordMost" | "syncFailShare" | "standStillShare" | "standStillMs"
>;

/** Of files beside the database. */
export interface SimFileOptions {
  /** The folder is covered in which files are written before they are renamed into place. */
  readonly coversIncoming: boolean;
  /** Contents in the records of one flush; others go into chunks before it. */
  readonly inlineBytesMax: number;
  /** Notifications that the kernel queues. */
  readonly eventsMax: number;
  /** Share of the starts of a host before which an operator puts a file into its folder. */
  readonly strayShare: number;
  /** Share of the files that a restore moves away one by one, so that a host may die in between. */
  readonly slowMoveShare: number;
}

/** Drawn apart from everything else. */
export function drawFiles(seed: number): SimFileOptions {
  const dice = new SeededRandom(`about files ${seed}`);
  return {
    coversIncoming: dice.chance(0.5),
    inlineBytesMax: dice.pick([0, 150, 600, 100_000]),
    eventsMax: dice.pick([20, 16_384, 16_384]),
    strayShare: dice.pick([0, 0.3]),
    slowMoveShare: dice.pick([0, 0.05]),
  };
}

/** For mutants of files: each write uploads one, and takes long enough for faults to come in between. */
export const uploading: Partial<SimOptions> = {
  fileEvery: 1,
  writeShare: 0.8,
  applicationExecMs: 10,
  faultEveryMs: 300,
  isWell: false,
};

/** The same, with contents in chunks that some checkpoints keep, and files of operators. */
export const storing: Partial<SimOptions> = {
  ...uploading,
  files: { coversIncoming: true, inlineBytesMax: 0, eventsMax: 16_384, strayShare: 0.5, slowMoveShare: 0 },
  ...{ putShare: 0.5, checkpointIntervalMs: 500, keepMin: 3 },
};

/** Drawn apart from everything else. A host of an earlier version has no files beside its databases. */
export const drawFileEvery = (seed: number): number => new SeededRandom(`files ${seed}`).pick([0, 0, 0, 3, 10, 30]);

/** Drawn apart from everything else. */
export function drawHttp(seed: number): FrontHttpOptions {
  const dice = new SeededRandom(`http ${seed}`);
  return {
    splitShare: dice.pick([0, 0.2, 1]),
    pieceDelayMs: dice.pick([0.05, 1, 20]),
    earlyHeadShare: dice.pick([0, 0.1, 0.5]),
  };
}

/** Not drawn with the rest, so that every seed keeps the history that it had. */
export const isEncryptedIn = (seed: number): boolean => seed % 3 === 1;
export const pausesHandoverIn = (seed: number): boolean => seed % 4 !== 2;

type DrawnOptions = Omit<
  SimOptions,
  keyof SegmentOptions | "isEncrypted" | "pausesHandover" | "http" | "fileEvery" | "files"
>;

export function drawOptions(dice: SeededRandom): DrawnOptions {
  const leaseMs = dice.pick([300, 500, 1_000, 2_000]);
  const latencyMs = dice.pick([1, 3, 10, 30]);
  const sometimes = (share: number): number => (dice.chance(0.5) ? 0 : dice.between(0, share));
  const drawn: DrawnOptions = {
    hosts: dice.int(2, 4),
    earlierHosts: 0,
    hasKeys: true,
    gateways: dice.int(1, 3),
    clients: dice.int(2, 6),
    keys: dice.int(1, 5),
    leaseMs,
    driftMarginMs: Math.ceil(leaseMs * dice.pick([0.05, 0.1, 0.2])),
    driftShare: dice.pick([0, 0.001, 0.02]),
    pollMs: dice.pick([10, 25, 50, 100]),
    drainTimeoutMs: dice.pick([100, 1_000]),
    probeIntervalMs: dice.pick([100, 250]),
    probeTimeoutMs: dice.pick([200, 500]),
    fall: dice.int(1, 3),
    rise: dice.int(1, 2),
    againShare: dice.pick([0, 0.02, 0.3]),
    holdMs: dice.pick([1_000, 5_000, 10_000]),
    heldMax: dice.pick([2, 100]),
    firstByteMs: dice.pick([500, 2_000, 5_000]),
    clientTimeoutMs: dice.pick([1_000, 5_000, 12_000]),
    thinkMs: dice.pick([5, 20, 50, 100]),
    writeShare: dice.pick([0.2, 0.5, 0.8]),
    putShare: dice.pick([0.1, 0.5]),
    poisonShare: dice.pick([0, 0, 0, 0.002, 0.02]),
    longShare: dice.pick([0, 0, 0, 0.001]),
    checkpointIntervalMs: dice.pick([500, 2_000, 60_000]),
    checkpointJournalBytes: dice.pick([20_000, 100_000, 10_000_000]),
    keepMin: dice.int(1, 3),
    windowMs: dice.pick([0, 0, 1_000]),
    pageSize: dice.pick([512, 512, 1024]),
    pagesPerPart: dice.pick([1, 2, 100]),
    diskMs: dice.pick([0.05, 1]),
    applicationStartMs: dice.pick([5, 50, 200]),
    applicationExecMs: dice.pick([0.5, 2, 10]),
    longMs: dice.pick([1_000, 4_000]),
    patienceMs: dice.pick([null, 600, 600, 1_500, 3_000]),
    syncShare: dice.pick([0.02, 0.5]),
    checkpointShare: dice.pick([0, 0, 0.02]),
    escapeShare: dice.pick([0, 0, 0.3]),
    networkDelayMs: [0.1, dice.pick([0.5, 2, 20])],
    lossShare: sometimes(0.02),
    heldShare: dice.pick([0, 0.5, 1]),
    vaultLatencyMs: [latencyMs / 4, latencyMs * 2],
    vaultTimeoutMs: dice.pick([150, 400]),
    lostReplyShare: sometimes(0.02),
    lostRequestShare: sometimes(0.02),
    lateShare: sometimes(0.02),
    staleMissMs: dice.pick([0, 0, 50, 500]),
    lateDeleteShare: sometimes(0.5),
    faultyMs: dice.pick([5_000, 10_000, 20_000]),
    isWell: dice.chance(0.08),
    faultEveryMs: dice.pick([300, 1_000, 2_000, 2_000]),
  };
  return drawn.isWell ? { ...drawn, ...well(drawn.leaseMs) } : drawn;
}

/**
 * The shortest retention window that lets a well secondary follow: it looks, reads with latency, and may not see at
 * first what is there. The configuration accepts nothing shorter than some seconds. Faults come with windows far below
 * that, down to none, since nothing may be lost then either; that every host follows in the end is required only with
 * at least this window.
 */
export const followMs = ({ pollMs, vaultLatencyMs, staleMissMs }: SimOptions): number =>
  2 * (pollMs + staleMissMs) + 10 * vaultLatencyMs[1];

/** A vault and a network in which the primary's life signs are always seen in time. */
const well = (leaseMs: number): Partial<SimOptions> => ({
  gateways: 3,
  vaultLatencyMs: [0.5, Math.min(10, leaseMs / 50)],
  networkDelayMs: [0.1, 2],
  pollMs: 10,
  lossShare: 0,
  ...{ lostReplyShare: 0, lostRequestShare: 0, lateShare: 0, staleMissMs: 0 },
});
