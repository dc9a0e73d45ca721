/** Everything that a host needs from the world; run-host.ts supplies the real parts, the simulation its own. */
import type { HostConfig } from "../config/types.ts";
import type { SecretStatus } from "../control/secret-status.ts";
import type { Rules } from "../core/rules.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/log.ts";
import type { Random } from "../runtime/random.ts";
import type { CheckpointManifest } from "../vault/checkpoint/checkpoint.ts";
import type { Compression } from "../vault/checkpoint/chunk-codec.ts";
import type { Log as VaultLog } from "../vault/log/log.ts";
import type { LogKind } from "../vault/store/identity.ts";
import type { VaultKeys } from "../vault/store/vault-keys.ts";
import type { Store } from "../vault/store/store.ts";
import type { LeftoversPort } from "./application/leftovers.ts";
import type { RehearsalGround } from "./application/rehearsal-ground.ts";
import type { CanaryPorts } from "./machine/canary.ts";
import type { DrillPorts } from "./drills.ts";
import type { RewindsOptions } from "./rewinds.ts";
import type { RestoreTestPorts } from "./restore-tests.ts";
import type { VaultCopyPorts } from "./vault-copies.ts";
import type { HookRunner } from "./ports/hook.ts";
import type { Exclusions } from "./ports/exclusions.ts";
import type { FrontPort } from "./application/front.ts";
import type { JournaledFiles } from "./secondary/files/file-replica.ts";
import type { LocalPort } from "./secondary/local-data.ts";
import type { AskForCheckpoint } from "./secondary/log-mending.ts";
import type { Warnings } from "./ports/warnings.ts";
import type { CaptureSource, KnownPages, PredecessorProbe } from "./ports/ports.ts";
import type { HostReplica } from "./secondary/secondary.ts";
import type { ApplicationOwner, SupervisedApplication } from "./application/supervised-application.ts";

export interface HostPorts {
  readonly config: HostConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly rules: Rules;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly store: Store;
  /** Over that store. */
  readonly vaultLog: VaultLog;
  /** Identity of the vault (src/vault/store/identity.ts); undefined: it has none. */
  readonly vaultId: string | undefined;
  /** Where the vault has its log. */
  readonly logKind: LogKind;
  /** Of the vault; `store` authenticates with the same. Undefined or left out: the vault has none. */
  readonly keys?: VaultKeys | undefined;
  /** Warnings from the start, which last as long as this process. */
  readonly lastingWarnings?: readonly string[];
  readonly canary: CanaryPorts | undefined;
  /** Called at the beginning of a claim: databases will be opened for capture in a moment. */
  readonly onClaim?: (() => void) | undefined;
  /** For the chunks of checkpoints; default: zstd, which runs on threads. */
  readonly compression?: Compression | undefined;
  readonly front: FrontPort;
  readonly local: LocalPort;
  readonly predecessor: PredecessorProbe;
  /** Asks a primary to repair a log that cannot be followed; undefined: not possible. */
  readonly askForCheckpoint?: AskForCheckpoint | undefined;
  /** Checks the databases that are about to become the first checkpoint; undefined: they are accepted as they are. */
  readonly checkDatabases?:
    | ((progress: (text: string) => void, warnings: Pick<Warnings, "warn">, signal: AbortSignal) => Promise<void>)
    | undefined;
  /** Returns what the data folder has that looks like state and is not covered, in words; left out: none is sought. */
  readonly uncoveredFiles?: (() => string | undefined) | undefined;
  readonly openReplica: () => Promise<HostReplica>;
  /** `known`: what the log made of the databases; undefined: what is there is the beginning. */
  readonly openSource: (
    known: KnownPages | undefined,
    warnings: Pick<Warnings, "warn" | "over">,
    /** The files beside the databases as the replica wrote them; left out: the journal has none. */
    knownFiles?: JournaledFiles,
  ) => Promise<CaptureSource>;
  /** Returns a chunk of a database that was moved away, if it exists and its content has that name. */
  readonly localChunk: (name: string, offset: number, length: number, chunk: string) => Promise<Uint8Array | undefined>;
  readonly application: (term: ApplicationOwner) => SupervisedApplication;
  readonly freePort: () => Promise<number>;
  /** undefined: this host has no application to start a second time. */
  readonly rehearsal: RehearsalGround | undefined;
  /** undefined or left out: this host makes no restore tests. */
  readonly restoreTest?: RestoreTestPorts | undefined;
  /** undefined or left out: this host copies no vault. */
  readonly vaultCopies?: VaultCopyPorts | undefined;
  /** Where a rewind is prepared; undefined or left out: this host cannot rewind. */
  readonly rewind?: RewindsOptions["ports"];
  /** Runs the operator's hooks; undefined or left out: there are none. */
  readonly runHook?: HookRunner | undefined;
  /** undefined or left out: this host cannot be drilled. */
  readonly drills?: DrillPorts | undefined;
  /** undefined or left out: single databases cannot be excluded. */
  readonly exclusions?: Exclusions | undefined;
  /** undefined or left out: this host has no certificate. */
  readonly certificate?: { readonly warnings: readonly string[] } | undefined;
  /** The cluster's secrets, as this host knows them; undefined or left out: it does not tell. */
  readonly secret?: { status(): SecretStatus; readonly warnings: readonly string[] } | undefined;
  readonly leftovers: LeftoversPort;
  /** Removes what no restore needs any more. */
  readonly clean: (newest: CheckpointManifest, logPosition: number, noEpochAfter: number) => Promise<void>;
}
