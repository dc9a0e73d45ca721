/**
 * The port of a store that keeps the log itself, as a vault server does for its hosts (src/remote/): the operations of
 * a log on bytes. log/served-log.ts makes a log of it.
 */
export interface ServedRemoval {
  readonly noEpochAfter?: number | undefined;
  readonly dryRun?: boolean | undefined;
}

/** The operations are those of `Log` (log/log.ts), with the same promises. All throw StoreError. */
export interface LogService {
  put(position: number, bytes: Uint8Array): Promise<{ readonly kind: "created" | "exists" }>;
  get(position: number): Promise<Uint8Array | undefined>;
  positions(after: number): Promise<number[]>;
  strangeNames(): Promise<string[]>;
  boundary(): Promise<number>;
  removeUpTo(
    position: number,
    options: ServedRemoval,
  ): Promise<{ readonly names: readonly string[]; readonly kept: number }>;
  /** Position and bytes of the last claim before a position, not verified. */
  newestClaim(before?: number): Promise<{ readonly position: number; readonly bytes: Uint8Array } | undefined>;
  decideEnd(): Promise<boolean>;
  isEmpty(): Promise<boolean>;
}
