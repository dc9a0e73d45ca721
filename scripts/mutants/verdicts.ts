/**
 * What became of each mutant, in a file from which a run that is started again continues. A mutant that was noticed is
 * not tried again while its file is the same: tests are only added to. One that survived is, once its tests have
 * changed.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import * as v from "valibot";
import { OptionError } from "../lib/options.ts";
import { hexHash, lineOf, type Mutant } from "./targets.ts";

const verdictSchema = v.picklist(["caught", "endless", "survived", "equivalent", "unreached"]);
export type Verdict = v.InferOutput<typeof verdictSchema>;

const entrySchema = v.object({
  file: v.string(),
  line: v.number(),
  kind: v.string(),
  before: v.string(),
  after: v.string(),
  /** The line of text that it begins in. */
  in: v.string(),
  /** UTF-16 positions in the text. */
  span: v.tuple([v.number(), v.number()]),
  /** Of the file without the mutation. */
  sha256: v.string(),
  /** Of the tests that were tried. */
  tests: v.optional(v.string(), ""),
  verdict: verdictSchema,
  /** The test that noticed it, or the reason why none can. */
  by: v.string(),
});
export type Entry = v.InferOutput<typeof entrySchema>;
const reportSchema = v.object({ verdicts: v.array(entrySchema) });

export interface Sample {
  readonly commit: string;
  readonly files: string;
  readonly draw: number;
  readonly seed: number;
  readonly tests: number;
}

export class Verdicts {
  readonly #sample: Sample;
  readonly #file: string | undefined;
  readonly #before: ReadonlyMap<string, Entry>;
  readonly #entries: Entry[] = [];
  readonly #leftOut = new Set<string>();

  /** `file`: the report; what it has of an earlier run is used. Throws OptionError when it is no such report. */
  constructor(sample: Sample, drawn: readonly Mutant[], file: string | undefined) {
    this.#sample = sample;
    this.#file = file;
    const keys = new Set(drawn.map((mutant) => keyOf(entryOf(mutant, "survived", ""))));
    this.#before = new Map(
      (file !== undefined && existsSync(file) ? entriesIn(file) : [])
        .filter(({ verdict }) => verdict !== "equivalent")
        .map((entry) => [keyOf(entry), entry] as const)
        .filter(([key]) => keys.has(key)),
    );
  }

  /** What an earlier run found of this mutant, if that still holds. */
  known(mutant: Mutant): Entry | undefined {
    const entry = entryOf(mutant, "survived", "");
    const before = this.#before.get(keyOf(entry));
    const isNoticed = before?.verdict === "caught" || before?.verdict === "endless";
    return isNoticed || before?.tests === entry.tests ? before : undefined;
  }

  add(mutant: Mutant, verdict: Verdict, by: string): void {
    this.#entries.push(entryOf(mutant, verdict, by));
    this.#write();
  }

  /** A file of tests that fails without any mutant. */
  leaveOut(test: string): void {
    this.#leftOut.add(test);
    this.#write();
  }

  get leftOut(): readonly string[] {
    return [...this.#leftOut];
  }

  count(verdict: Verdict): number {
    return this.#entries.filter((entry) => entry.verdict === verdict).length;
  }

  /** Of all mutants that can be noticed, those that were not. */
  get open(): readonly Entry[] {
    return this.#entries.filter(({ verdict }) => verdict === "survived" || verdict === "unreached");
  }

  summary(): Record<string, unknown> {
    return {
      bench: "mutants",
      ...this.#sample,
      mutants: this.#entries.length,
      caught: this.count("caught"),
      endless: this.count("endless"),
      survived: this.count("survived"),
      equivalent: this.count("equivalent"),
      unreached: this.count("unreached"),
      left_out: this.leftOut,
    };
  }

  #write(): void {
    if (this.#file === undefined) return;
    // What an earlier run found of mutants that this one has not come to yet is kept, should it be ended before.
    const keys = new Set(this.#entries.map(keyOf));
    const earlier = [...this.#before].filter(([key]) => !keys.has(key)).map(([, entry]) => entry);
    const report = { ...this.summary(), verdicts: [...this.#entries, ...earlier] };
    writeFileSync(this.#file, `${JSON.stringify(report, null, 1)}\n`);
  }
}

function entryOf(mutant: Mutant, verdict: Verdict, by: string): Entry {
  const { target, line, kind, before, after, start, end } = mutant;
  const place = { file: target.file, line, in: lineOf(mutant), span: [start, end] as [number, number] };
  return { ...place, sha256: hexHash(target.text), tests: target.testsHash, kind, before, after, verdict, by };
}

const keyOf = ({ file, sha256, span, after }: Entry): string => JSON.stringify([file, sha256, span, after]);

function entriesIn(file: string): readonly Entry[] {
  const accepted = "a report that --report has written, or a file that does not exist";
  try {
    return v.parse(reportSchema, JSON.parse(readFileSync(file, "utf8"))).verdicts;
  } catch (error) {
    throw new OptionError(`--report ${file}: ${error instanceof Error ? error.message : String(error)}`, accepted);
  }
}
