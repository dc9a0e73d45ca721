/**
 * The primary of a fuzzed application: capture, journal and gate as a host has them, without the HTTP in front, in a
 * process that can be killed. Restores its data folder from the vault, says so, waits for "go", then captures what the
 * application does there.
 *
 * argv: one JSON object. `src` is the folder of the sources under test: the same scenario runs against another version
 * of them. One JSON request per line in, answers and events per line out.
 */
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { join } from "node:path";
import type * as ReplicaModule from "../../../src/capture/replica.ts";
import type * as SourceModule from "../../../src/capture/source.ts";
import type * as FollowerModule from "../../../src/host/secondary/follower.ts";
import type * as JournalModule from "../../../src/host/primary/journal.ts";
import type * as HandoffModule from "../../../src/host/primary/verify-handoff.ts";
import type * as RulesModule from "../../../src/core/rules.ts";
import type * as ClockModule from "../../../src/runtime/clock.ts";
import type * as RandomModule from "../../../src/runtime/random.ts";
import type * as StoreModule from "../../../src/vault/store/open-store.ts";
import type * as CheckpointModule from "../../../src/vault/checkpoint/checkpoint.ts";
import type * as PageProofModule from "../../../src/host/secondary/page-proof.ts";
import type * as VerifyModule from "../../../src/vault/verify/verify.ts";
import type * as LogReaderModule from "../../../src/vault/log/log-reader.ts";
import type * as LogWriterModule from "../../../src/vault/log/log-writer.ts";
import type * as StoreLogModule from "../../../src/vault/log/store-log.ts";
import type { JournalEnd } from "../../../src/host/primary/journal-end.ts";

export interface PrimaryOptions {
  readonly src: string;
  readonly root: string;
  readonly vault: string;
  readonly patterns: readonly string[];
  readonly host: string;
  /** No host was primary before. */
  readonly isFirst: boolean;
  readonly patienceMs: number;
}

export type PrimaryRequest =
  | { readonly what: "go" }
  | { readonly what: "gate"; readonly id: number }
  | { readonly what: "checkpoint"; readonly id: number };

export type PrimaryEvent =
  /** What `stead vault verify` calls damage. */
  | { readonly what: "verified"; readonly damage: readonly string[] }
  | { readonly what: "restored" }
  | { readonly what: "ready" }
  | { readonly what: "failed"; readonly reason: string }
  | { readonly what: "warning"; readonly text: string }
  | { readonly what: "ended"; readonly kind: string; readonly reason: string }
  | { readonly what: "answer"; readonly id: number; readonly released: boolean; readonly error?: string };

type KnownPages = NonNullable<Parameters<typeof SourceModule.Source.open>[0]["known"]>;

const leaseMs = 60_000;
const service = "fuzz";
const options = JSON.parse(process.argv[2] ?? "{}") as PrimaryOptions;
/** The first of `paths` that these sources have: those of an earlier version may have the file elsewhere. */
const load = async <T>(...paths: readonly string[]): Promise<T> => {
  const path = paths.find((each) => existsSync(join(options.src, each))) ?? paths[0] ?? "";
  return (await import(join(options.src, path))) as T;
};

const { Replica } = await load<typeof ReplicaModule>("capture/replica.ts");
const { Source } = await load<typeof SourceModule>("capture/source.ts");
const { Follower } = await load<typeof FollowerModule>("host/secondary/follower.ts", "host/follower.ts");
const { Journal } = await load<typeof JournalModule>("host/primary/journal.ts", "host/journal.ts");
// Versions before have it under another name.
const verify = await load<typeof HandoffModule>("host/primary/verify-handoff.ts").then(
  ({ verifyHandoff }) => verifyHandoff,
  () => undefined,
);
const { allRules } = await load<typeof RulesModule>("core/rules.ts");
const { systemClock } = await load<typeof ClockModule>("runtime/clock.ts");
const { systemRandom } = await load<typeof RandomModule>("runtime/random.ts");
const { createVault } = await load<typeof StoreModule>("vault/store/open-store.ts", "vault/open-store.ts");
const { writeCheckpoint } = await load<typeof CheckpointModule>(
  "vault/checkpoint/checkpoint.ts",
  "vault/checkpoint.ts",
);
const { verifyVault } = await load<typeof VerifyModule>("vault/verify/verify.ts", "vault/verify.ts");
// Versions before did not verify what the pages give.
const proof = await load<typeof PageProofModule>("host/secondary/page-proof.ts", "host/page-proof.ts").then(
  ({ pageProof }) => ({ proof: pageProof }),
  () => ({}),
);
const { LogReader } = await load<typeof LogReaderModule>("vault/log/log-reader.ts", "vault/log-reader.ts");
const { LogWriter } = await load<typeof LogWriterModule>("vault/log/log-writer.ts", "vault/log-writer.ts");

const say = (event: PrimaryEvent): void => void process.stdout.write(`${JSON.stringify(event)}\n`);
const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const store = await createVault(options.vault, service);
// As a bootstrap of an empty folder does.
if (options.isFirst)
  await writeCheckpoint({
    store,
    position: 0,
    hash: "0".repeat(64),
    epoch: 0,
    epochPosition: 0,
    wallTimeMs: systemClock.wallTime(),
    databases: [],
  });
const logPath = "vault/log/store-log.ts";
const openLog = async () => new (await load<typeof StoreLogModule>(logPath)).StoreLog(store, service);
// Sources of before the log's port take the store and the service instead.
const place = existsSync(join(options.src, logPath))
  ? { log: await openLog() }
  : { log: undefined as never, store, service };
const reader = new LogReader({ ...place, start: { position: 0, hash: "0".repeat(64) }, rules: allRules });

async function restore(): Promise<KnownPages> {
  const { findings } = await verifyVault(store, proof);
  say({
    what: "verified",
    damage: findings.filter(({ severity }) => severity === "damage").map(({ message }) => message),
  });
  const target = await Replica.open({ root: options.root });
  const follower = new Follower({
    reader,
    target,
    clock: systemClock,
    onRecord: () => undefined,
    epochAtStart: undefined,
  });
  await follower.catchUp();
  const known = target.handOver();
  await target.close();
  return known;
}
async function begin(known: KnownPages) {
  const claim = await LogWriter.claim({
    reader,
    host: options.host,
    leaseMs,
    controlUrl: "http://127.0.0.1:9",
    instance: options.host,
    clock: systemClock,
    random: systemRandom,
    rules: allRules,
  });
  if (claim.kind !== "claimed") throw new Error(claim.kind);
  const journal = new Journal({
    writer: claim.writer,
    clock: systemClock,
    rules: allRules,
    leaseMs,
    durability: { kind: "strict" },
    onEnd: (end: JournalEnd) => say({ what: "ended", kind: end.kind, reason: "reason" in end ? end.reason : "fenced" }),
    onRecord: () => undefined,
  });
  const onWarning = (text: string): void => say({ what: "warning", text });
  const found = await Source.open({
    root: options.root,
    databases: options.patterns,
    known,
    clock: systemClock,
    rules: allRules,
    limits: { attachWaitMsMax: options.patienceMs },
    onWarning,
  });
  const source = options.isFirst || verify === undefined ? found : await verify(found, known);
  journal.attach(source);
  return { journal, epoch: claim.writer.epoch, epochPosition: claim.writer.claimPosition };
}

type Serving = Awaited<ReturnType<typeof begin>>;

async function writeOneCheckpoint({ journal, epoch, epochPosition }: Serving): Promise<void> {
  const { snapshot, position, hash } = await journal.snapshot();
  const { databases } = snapshot;
  const { manifest } = await writeCheckpoint({
    store,
    position,
    hash,
    epoch,
    epochPosition,
    wallTimeMs: systemClock.wallTime(),
    databases,
  }).finally(() => snapshot.release());
  await journal.append({ kind: "checkpoint", checkpointPosition: position, manifestHash: manifest.manifestHash });
}

async function answer(serving: Serving, request: PrimaryRequest): Promise<void> {
  if (request.what === "go") return;
  const { id } = request;
  try {
    await (request.what === "gate" ? serving.journal.gate() : writeOneCheckpoint(serving));
    say({ what: "answer", id, released: true });
  } catch (error) {
    say({ what: "answer", id, released: false, error: textOf(error) });
  }
}

try {
  const known = await restore();
  say({ what: "restored" });
  let serving: Serving | undefined;
  for await (const line of createInterface({ input: process.stdin })) {
    if (serving === undefined) {
      serving = await begin(known);
      say({ what: "ready" });
    } else void answer(serving, JSON.parse(line) as PrimaryRequest);
  }
} catch (error) {
  say({ what: "failed", reason: textOf(error) });
}
process.exit(0);
