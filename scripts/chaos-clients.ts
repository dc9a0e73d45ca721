/**
 * The clients of a chaos run, in a process of their own: `bun scripts/chaos-clients.ts JSON`, where JSON is
 * ClientOptions.
 *
 * One load through every gateway and one at every host directly, past the gateways, so that a replaced primary gets
 * requests that it could answer wrongly. They share one history. Notes also get attachments (chaos-attachments.ts).
 * Prints `{"kind":"started"}`, then `{"kind":"progress",...}` a few times a second. When its input ends the load stops,
 * everything is read back and judged, and `{"kind":"result",...}` is printed.
 */
import { demoApplication, type DemoApplicationName } from "../harness/applications.ts";
import { History } from "../harness/history.ts";
import { Load } from "../harness/load.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { type AttachmentCounts, ChaosAttachments } from "./chaos-attachments.ts";
import { RecordingModel } from "./chaos-recorder.ts";
import { checkVersions, type ChaosOperation } from "./chaos-versions.ts";

export interface ClientOptions {
  readonly folder: string;
  readonly app: DemoApplicationName;
  readonly seed: number;
  readonly gatewayUrls: readonly string[];
  readonly hostUrls: readonly string[];
  readonly requestsPerSecond: number;
}

export type ClientMessage =
  | { readonly kind: "started" }
  | { readonly kind: "progress"; readonly ok: readonly number[]; readonly acknowledged: number }
  | ClientResult;

export interface ClientResult {
  readonly kind: "result";
  readonly acknowledged: number;
  readonly missing: number;
  readonly phantom: number;
  readonly ok: number;
  readonly unknown: number;
  readonly failed: number;
  /** Answered by a host directly. */
  readonly direct: number;
  readonly operations: number;
  readonly longestGapMs: number;
  readonly violations: readonly string[];
  /** Breaches of linearizability. */
  readonly breaches: readonly string[];
  readonly broken: string | undefined;
  readonly failures: readonly string[];
  /** Undefined: the application has none. */
  readonly attachments: (AttachmentCounts & { readonly deletedFiles: readonly string[] }) | undefined;
}

const workersPerGateway = 8;
const workersPerHost = 2;
const attachingWorkers = 3;
const directPerSecond = 15;
/** Short: clients give up in the middle of outages, and their writes may still happen. */
const timeoutMs = 5_000;
const directTimeoutMs = 3_000;
const progressMs = 250;
const startWithinMs = 30_000;

const say = (message: ClientMessage): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2] ?? "") as ClientOptions;
  const history = new History();
  const operations: ChaosOperation[] = [];
  let made = 0;
  const load = (url: string, workers: number, requestsPerSecond: number, limitMs: number): Load => {
    made += 1;
    const inner = demoApplication(options.app, options.folder).makeModel(`c${made}`, workers);
    const model = new RecordingModel(inner, systemClock, operations);
    return new Load({
      urls: [url],
      model,
      history,
      clock: systemClock,
      seed: options.seed * 100 + made,
      workers,
      requestsPerSecond,
      timeoutMs: limitMs,
    });
  };
  const perGateway = options.requestsPerSecond / options.gatewayUrls.length;
  const loads = options.gatewayUrls.map((url) => load(url, workersPerGateway, perGateway, timeoutMs));
  const directs = options.hostUrls.map((url) => load(url, workersPerHost, directPerSecond, directTimeoutMs));
  await Promise.all(loads.map(startPatiently));
  // A secondary refuses: its load starts once it can be prepared, or never.
  const direct = Promise.all(directs.map((one) => startPatiently(one).catch(() => undefined)));
  const attaching = options.app === "notes" ? attachingTo(options) : undefined;
  attaching?.start();
  const startedAt = systemClock.now();
  say({ kind: "started" });
  const timer = setInterval(
    () => say({ kind: "progress", ok: loads.map(({ counts }) => counts.ok), acknowledged: history.acknowledgedCount }),
    progressMs,
  );
  await new Promise<void>((resolve) => process.stdin.once("end", resolve).resume());
  clearInterval(timer);
  isStopping = true;
  await direct;
  await attaching?.stop();
  await Promise.all([...loads, ...directs].map((one) => one.stop()));
  const stoppedAt = systemClock.now();
  const reader = load(options.gatewayUrls[0] ?? "", 1, 1, 60_000);
  const model = demoApplication(options.app, options.folder).makeModel("read-back", 1);
  const { entries, broken } = await model.readBack((path) => reader.get(path));
  const { acknowledged, missing, phantom } = history.finish(entries);
  const attachmentsWrong = (await attaching?.judge()) ?? [];
  const sum = (of: readonly Load[], pick: (one: Load) => number): number =>
    of.reduce((total, one) => total + pick(one), 0);
  say({
    kind: "result",
    acknowledged,
    missing,
    phantom,
    ok: sum(loads, ({ counts }) => counts.ok),
    unknown: sum(loads, ({ counts }) => counts.unknown),
    failed: sum(loads, ({ counts }) => counts.failed),
    direct: sum(directs, ({ counts }) => counts.ok),
    operations: operations.length,
    longestGapMs: Math.round(Math.max(...loads.map(({ meter }) => meter.longestGap(startedAt, stoppedAt).ms))),
    violations: [...history.violations.map(({ kind, detail }) => `${kind}: ${detail}`), ...attachmentsWrong],
    attachments: attaching && { ...attaching.counts, deletedFiles: attaching.deletedFiles },
    breaches: checkVersions(operations, entries),
    broken,
    failures: loads.flatMap(({ failures }) => failures).slice(0, 10),
  });
  await Promise.all([...loads, ...directs, reader].map((one) => one.close()));
}

function attachingTo({ gatewayUrls, seed }: ClientOptions): ChaosAttachments {
  const url = gatewayUrls[0] ?? "";
  return new ChaosAttachments({ url, seed, workers: attachingWorkers, timeoutMs, clock: systemClock });
}

let isStopping = false;

async function startPatiently(load: Load): Promise<void> {
  const until = systemClock.now() + startWithinMs;
  for (;;) {
    try {
      return await load.start();
    } catch (error) {
      if (systemClock.now() > until || isStopping) throw error;
      await systemClock.sleep(100);
    }
  }
}

await main();
