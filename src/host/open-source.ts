/** Opens capture on the data folder of this host: its databases, and the files beside them if the service has any. */
import { FileCapture, type FilesBegin } from "../capture/files/file-capture.ts";
import type { KeptEvents } from "../capture/files/kept-events.ts";
import { SourceWithFiles } from "../capture/files/source-with-files.ts";
import { Source } from "../capture/source.ts";
import type { HostConfig } from "../config/types.ts";
import type { FilesConfig } from "../config/files-config.ts";
import type { FileUser } from "../core/files/file-owner.ts";
import type { FileMatcher } from "../core/files/file-pattern.ts";
import { allRules } from "../core/rules.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Clock } from "../runtime/clock.ts";
import { openFileLimit } from "../runtime/open-file-limit.ts";
import { PieceReader } from "../vault/checkpoint/piece-reader.ts";
import type { Log } from "../vault/log/log.ts";
import type { Store } from "../vault/store/store.ts";
import type { HostPorts } from "./host-ports.ts";
import type { KnownPages } from "./ports/ports.ts";
import { tellUncaptured, type Warnings } from "./ports/warnings.ts";
import type { JournaledFiles } from "./secondary/files/file-replica.ts";
import { matcherOf } from "./secondary/files/matcher-of.ts";
import { verifyHandoff } from "./primary/verify-handoff.ts";

export interface SourceParts {
  readonly config: HostConfig;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Names that operators excluded. */
  readonly exclusions: { readonly names: ReadonlySet<string> };
  readonly store: Store;
  readonly vaultLog: Log;
  readonly user: FileUser;
  /** Of this host. */
  readonly kept: KeptEvents;
}

type SourceWarnings = Pick<Warnings, "warn" | "over">;

/** What is read of the configuration is read each time: a reload changes it in place. */
export function sourceOpener(parts: SourceParts): HostPorts["openSource"] {
  return async (known, warnings, knownFiles) => {
    const { files } = parts.config;
    const databases = await openDatabases(parts, known, warnings);
    const matcher = matcherOf(parts.config);
    if (files === undefined || matcher === undefined) return databases;
    try {
      const begin = known === undefined ? ({ kind: "bootstrap" } as const) : beginOf(knownFiles, parts.kept);
      const capture = await openFiles(parts, { files, matcher, begin }, warnings);
      const { clock } = parts;
      return new SourceWithFiles(databases, capture, files.durability, () => clock.now());
    } catch (error) {
      await databases.close({ fold: false });
      throw error;
    }
  };
}

async function openDatabases(
  { config, clock, metrics, exclusions }: SourceParts,
  known: KnownPages | undefined,
  warnings: SourceWarnings,
): Promise<Source> {
  const { dataFolder: root, databases, databasesExcept: except, uncaptured, databasesMax } = config;
  const limits = {
    databasesMax,
    descriptorsMax: openFileLimit() ?? Number.POSITIVE_INFINITY,
    attachWaitMsMax: config.uncapturedPatienceMs,
  };
  const source = await Source.open({
    root,
    databases,
    except,
    excluded: () => exclusions.names,
    uncaptured,
    limits,
    clock,
    rules: allRules,
    metrics,
    onWarning: (text) => warnings.warn(text),
    onUncaptured: tellUncaptured(warnings),
    ...(known === undefined ? {} : { known }),
  });
  return known === undefined ? source : verifyHandoff(source, known, exclusions.names);
}

const beginOf = (files: JournaledFiles | undefined, kept: KeptEvents): FilesBegin =>
  files === undefined ? { kind: "unjournaled" } : { kind: "journaled", ...files, events: kept.take() };

function openFiles(
  { config, clock, store, vaultLog, user }: SourceParts,
  {
    files: { bounds, over },
    matcher,
    begin,
  }: { readonly files: FilesConfig; readonly matcher: FileMatcher; readonly begin: FilesBegin },
  warnings: SourceWarnings,
): Promise<FileCapture> {
  return FileCapture.open({
    root: config.dataFolder,
    ...{ matcher, begin, user },
    clock,
    bounds,
    over,
    patienceMs: config.uncapturedPatienceMs,
    fetch: (wanted) => new PieceReader({ store, log: vaultLog }).read(wanted),
    onWarning: (text) => warnings.warn(text),
  });
}
