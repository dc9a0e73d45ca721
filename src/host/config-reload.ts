/**
 * Applies a changed configuration while a host runs (SIGHUP), as a whole or not at all.
 *
 * At once: `priority`, `nofailover`, `drain`, `drain_streams`, `poll`, [host.hooks], [host.restore_test],
 * [[host.vault_copy]]. With the next term as primary, since the running application keeps its settings:
 * [host.application] and [host.checkpoint].
 * Everything else is bound to sockets, folders, the vault or a lease that others rely on: a file that changes any of it
 * is refused, and the keys are named.
 * The parts of a host read their settings from one object, which is changed here.
 */
import type { HostConfig } from "../config/types.ts";

export type HostReload =
  | { readonly kind: "unchanged" }
  /** Keys of the file that changed. */
  | { readonly kind: "taken"; readonly keys: readonly string[] }
  | { readonly kind: "refused"; readonly why: string };

/** Each setting with its key in the file, and whether a running host can change it. */
const settings: Readonly<Record<keyof HostConfig, readonly [key: string, canChange: boolean]>> = {
  id: ["id", false],
  isRestarted: ["restarts", false],
  service: ["service", false],
  controlListen: ["control", false],
  controlUrl: ["advertise_control", false],
  dataListen: ["listen", false],
  dataUrl: ["advertise_data", false],
  dataFolder: ["data", false],
  databases: ["databases", false],
  databasesExcept: ["databases_except", false],
  databasesMax: ["databases_max", false],
  files: ["files, or another key that begins with files_ or file_,", false],
  uncaptured: ["uncaptured", false],
  uncapturedPatienceMs: ["uncaptured_patience", false],
  stateFolder: ["state", false],
  setAsideFolder: ["set_aside", false],
  setAsideKeep: ["set_aside_keep", false],
  setAsideBytesMax: ["set_aside_bytes", false],
  diskStallMs: ["disk_stall", false],
  vaultUrl: ["vault", false],
  vaultKey: ["the vault's key", false],
  vaultS3: ["vault_s3", false],
  vaultCopies: ["vault_copy", true],
  vaultTimeoutMs: ["vault_timeout", false],
  bootstrap: ["bootstrap", false],
  bootstrapCheck: ["bootstrap_check", false],
  durability: ["durability", false],
  leaseMs: ["lease", false],
  driftMarginMs: ["drift_margin", false],
  pollMs: ["poll", true],
  drainTimeoutMs: ["drain", true],
  drainStreamsMs: ["drain_streams", true],
  outcomes: ["outcomes", false],
  priority: ["priority", true],
  nofailover: ["nofailover", true],
  secret: ["the cluster's secret", false],
  cluster: ["the cluster's name, accept_bearer or tls", false],
  hooks: ["hooks", true],
  restoreTest: ["restore_test", true],
  application: ["application", true],
  applicationUser: ["application.user, application.group or the files with secrets", false],
  checkpoint: ["checkpoint", true],
  limits: ["limits", false],
};

/** Changes `current` if all of `next` can be applied. */
export function reloadHost(current: HostConfig, next: HostConfig): HostReload {
  const names = Object.keys(settings) as (keyof HostConfig)[];
  const changed = names.filter((name) => compared(current, next, name) !== compared(next, next, name));
  const fixed = changed.filter((name) => !settings[name][1]);
  if (fixed.length > 0)
    return {
      kind: "refused",
      why: `${keysOf(fixed).join(", ")} of [host] cannot change while the host runs: restart it, as a secondary (after \`stead switchover\`)`,
    };
  if (changed.length === 0) return { kind: "unchanged" };
  Object.assign(current, Object.fromEntries(changed.map((name) => [name, next[name]])));
  return { kind: "taken", keys: keysOf(changed) };
}

/** A secret in a file is followed by itself (src/config/cluster-secrets.ts). */
function compared(config: HostConfig, next: HostConfig, name: keyof HostConfig): string | undefined {
  if (name === "secret" && next.cluster.secretFrom?.kind === "file") return undefined;
  if (name === "cluster") return JSON.stringify({ ...config.cluster, secretFrom: undefined });
  return JSON.stringify(config[name]);
}

const keysOf = (names: readonly (keyof HostConfig)[]): string[] => names.map((name) => settings[name][0]);
