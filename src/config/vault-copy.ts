/** `[[host.vault_copy]]`, resolved: a place to which a primary copies the vault. */
import type { S3Settings } from "../core/s3-place.ts";

export interface VaultCopyConfig {
  /** `file:///absolute/folder`, or `s3://bucket/prefix`. */
  readonly url: string;
  /** Where the bucket is; undefined: it is in none. */
  readonly s3: S3Settings | undefined;
}
