/** `[host.restore_test]`, resolved. */
import type { RestoreTestSchedule } from "../core/host/restore-test-due.ts";

/** A secondary tries whether the vault can be restored (src/host/restore-tests.ts). */
export interface RestoreTestConfig {
  readonly schedule: RestoreTestSchedule;
  /** Read from the vault, at most, per second. */
  readonly bytesPerSecond: number;
  /** Absolute; what is restored is in a folder of its own there, and removed. */
  readonly folder: string;
}
