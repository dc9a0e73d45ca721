/**
 * What each file of tests executes, in a file: measuring that takes longer than most mutants. A measurement holds for a
 * source file while that file and the file of tests are the same; a change of the files between them is not looked at,
 * since at worst a test is tried too few.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { OptionError } from "../lib/options.ts";
import { hexHash } from "./targets.ts";

export interface Reach {
  /** By source file. */
  readonly lines: ReadonlyMap<string, ReadonlySet<number>>;
  readonly tookMs: number;
}

const entrySchema = v.object({
  /** Of the file of tests. */
  sha256: v.string(),
  tookMs: v.number(),
  files: v.record(v.string(), v.object({ sha256: v.string(), lines: v.array(v.number()) })),
});
type Entry = v.InferOutput<typeof entrySchema>;

export class Reaches {
  readonly #root: string;
  readonly #file: string | undefined;
  readonly #entries: Map<string, Entry>;

  /** `file`: measurements of earlier runs. `root`: the tree that is measured. Throws OptionError for another file. */
  constructor(root: string, file: string | undefined) {
    this.#root = root;
    this.#file = file;
    this.#entries = new Map(file !== undefined && existsSync(file) ? Object.entries(entriesIn(file)) : []);
  }

  /** What `test` executes of `source`; undefined when that is not known. */
  known(test: string, source: string): Reach | undefined {
    const entry = this.#entries.get(test);
    const known = entry?.files[source];
    if (entry === undefined || entry.sha256 !== this.#hashOf(test)) return undefined;
    if (known !== undefined && known.sha256 !== this.#hashOf(source)) return undefined;
    const lines = new Map(known === undefined ? [] : [[source, new Set(known.lines)] as const]);
    return { lines, tookMs: entry.tookMs };
  }

  keep(test: string, { lines, tookMs }: Reach): void {
    const sources = [...lines].filter(([path]) => path.startsWith("src/"));
    const files = sources.map(
      ([path, hit]) => [path, { sha256: this.#hashOf(path), lines: [...hit] }] as [string, Entry["files"][string]],
    );
    this.#entries.set(test, {
      sha256: this.#hashOf(test),
      tookMs: Math.round(tookMs),
      files: Object.fromEntries(files),
    });
    if (this.#file !== undefined) writeFileSync(this.#file, JSON.stringify(Object.fromEntries(this.#entries)));
  }

  #hashOf(path: string): string {
    const whole = join(this.#root, path);
    return existsSync(whole) ? hexHash(readFileSync(whole, "utf8")) : "";
  }
}

function entriesIn(file: string): Record<string, Entry> {
  try {
    return v.parse(v.record(v.string(), entrySchema), JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    const found = `${file}: ${error instanceof Error ? error.message : String(error)}`;
    throw new OptionError(found, "measurements of an earlier run, or no such file");
  }
}
