/** `host.files`, resolved: which files beside the databases fail over with them, and within which bounds. */
export interface FilesConfig {
  /** Relative to the data folder; names that `databases` matches are never files (src/core/files/file-pattern.ts). */
  readonly patterns: readonly string[];
  readonly except: readonly string[];
  /**
   * `before-answer`: what changed before an answer is in the vault before the answer leaves. `background`: at most
   * `lossMaxMs` later.
   */
  readonly durability: { readonly kind: "before-answer" } | { readonly kind: "background"; readonly lossMaxMs: number };
  readonly bounds: FileBounds;
  /**
   * Over a bound: responses are held, and the term ends after the patience (`refuse`), or files are left out (`warn`).
   */
  readonly over: "refuse" | "warn";
}

export interface FileBounds {
  /** Files, links and folders. */
  readonly filesMax: number;
  /** Of all files together. */
  readonly bytesMax: number;
  /** Of one file. */
  readonly fileBytesMax: number;
  /** Bytes of contents that may be written into the vault in a second, over ten seconds. */
  readonly bytesPerSecondMax: number;
}
