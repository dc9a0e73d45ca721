/** What `stead doctor` knows of a machine, as its probes (probes.ts) describe it; the checks judge it. */

export interface Machine {
  readonly clocks: readonly OtherClock[];
  readonly folders: readonly Folder[];
  readonly secretFiles: readonly SecretFileMode[];
  readonly listeners: readonly ListenerState[];
  /** What is missing of the limit of open files; undefined: nothing. */
  readonly descriptors: Unsuitability | undefined;
  readonly disks: readonly Disk[];
  readonly vault: VaultPulse;
  readonly advertised: readonly Advertised[];
}

/** The clock of another process against this machine's. */
export interface OtherClock {
  readonly of: string;
  readonly aheadMs: number;
}

export interface Folder {
  /** `host.data`, and so on. */
  readonly key: string;
  readonly path: string;
  readonly state: "writable" | "read-only" | "missing";
  /** Why it is not suitable for its purpose; undefined: it is. */
  readonly unsuitable: Unsuitability | undefined;
}

export interface Unsuitability {
  readonly found: string;
  readonly accepted: string;
  readonly advice: string;
}

export interface SecretFileMode {
  readonly path: string;
  /** Permission bits; undefined: it cannot be read. */
  readonly mode: number | undefined;
}

export interface ListenerState {
  readonly key: string;
  readonly address: string;
  readonly state: "free" | "taken" | "not-here" | "not-permitted";
}

export interface Disk {
  readonly path: string;
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export type VaultPulse =
  | { readonly kind: "none" }
  | { readonly kind: "failed"; readonly why: string }
  /** Duration of the slower puts. */
  | { readonly kind: "written"; readonly ms: number; readonly leaseMs: number };

export interface Advertised {
  readonly key: string;
  readonly url: string;
  /** False: others cannot mean this machine by it (a loopback address while other machines are named). */
  readonly isReachableFromOthers: boolean;
}
