/** A copy of the tree in which mutants are tried: it runs files of tests, and knows which of them reach a line. */
import { spawn } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mutated } from "../lib/mutations.ts";
import { type Reach, Reaches } from "./reaches.ts";
import type { Mutant } from "./targets.ts";
import type { Verdict } from "./verdicts.ts";

/** What tests need of the tree. */
const copiedParts = ["src", "test", "harness", "scripts", "examples", "migrations", "docs"];
const copiedFiles = ["package.json", "tsconfig.json", "bunfig.toml", "README.md"];
const linkedParts = ["node_modules", ".bun"];
const endlessMs = 20_000;
const testTimeoutMs = 10_000;
const coverageMsMax = 300_000;
/** Of one history of the simulator, on a busy machine. */
const historyMsMax = 20_000;
/** How many files of tests run in one process, from the nearest on; the last number is for all that follow. */
const batchSizes: readonly number[] = [2, 4, 16];
/** Tests that are tried on a line that none of them reaches itself: a process or a thread that they start may. */
const blindTests = 3;
const outputCharactersMax = 64 * 1024;

interface TestRun {
  readonly kind: "passed" | "failed" | "endless";
  readonly tookMs: number;
  /** The first test that failed. */
  readonly failed: string;
}

interface Judgement {
  readonly verdict: Verdict;
  /** The test that noticed the mutant. */
  readonly by: string;
}

export interface TrialOptions {
  readonly root: string;
  /** Has the measurements of earlier runs, and gets those of this one. */
  readonly reachFile: string | undefined;
  /** Files of tests that are tried on one mutant. */
  readonly testsMax: number;
  /** So many of the simulator are tried on a mutant that tests did not notice. */
  readonly histories: number;
  /** Is told of a file of tests that fails without a mutant; it is not used. */
  readonly onUnfit: (test: string) => void;
}

export class Trial {
  readonly #options: TrialOptions;
  readonly #copy: string;
  readonly #reaches: Reaches;
  /** Files of tests that fail without a mutant. */
  readonly #unfit = new Set<string>();
  #endRun = (): void => undefined;

  constructor(options: TrialOptions) {
    const { root, reachFile } = options;
    this.#options = options;
    this.#copy = mkdtempSync(join(tmpdir(), "stead-mutants-"));
    this.#reaches = new Reaches(this.#copy, reachFile);
    // Programs that tests run as another user are in it.
    chmodSync(this.#copy, 0o755);
    for (const part of [...copiedParts, ...copiedFiles])
      cpSync(join(root, part), join(this.#copy, part), { recursive: true });
    for (const part of linkedParts)
      if (existsSync(join(root, part))) symlinkSync(join(root, part), join(this.#copy, part));
  }

  /** Ends the run in progress and removes the copy. */
  close(): void {
    this.#endRun();
    rmSync(this.#copy, { recursive: true, force: true });
  }

  /** Runs the tests that reach the mutant's line, nearest first, until one fails; then the simulator. */
  async judge(mutant: Mutant): Promise<Judgement> {
    const { histories } = this.#options;
    const judged = await this.#judgeByTests(mutant);
    if (histories === 0 || judged.verdict === "caught" || judged.verdict === "endless") return judged;
    const command = ["test/sim/main.ts", "--seeds", `${histories}`, "--no-shrink"];
    const { kind } = await this.#mutated(mutant, () => this.#execute(command, historyMsMax * histories));
    if (kind === "passed") return judged;
    return { verdict: kind === "failed" ? "caught" : "endless", by: `bun ${command.join(" ")}` };
  }

  async #judgeByTests(mutant: Mutant): Promise<Judgement> {
    const left = [...mutant.target.tests];
    const { testsMax } = this.#options;
    let tried = 0;
    for (let batch = 0; left.length > 0 && tried < testsMax; batch++) {
      const size = batchSizes[Math.min(batch, batchSizes.length - 1)] as number;
      const tests = await this.#nextReaching(left, mutant, Math.min(size, testsMax - tried));
      if (tests.length === 0) break;
      tried += tests.length;
      const run = await this.#runMutated(mutant, tests);
      if (run.kind !== "passed") return { verdict: run.kind === "failed" ? "caught" : "endless", by: run.failed };
    }
    if (tried > 0) return { verdict: "survived", by: "" };
    const blind = mutant.target.tests.filter((test) => !this.#unfit.has(test)).slice(0, blindTests);
    const run = blind.length === 0 ? undefined : await this.#runMutated(mutant, blind);
    if (run === undefined || run.kind === "passed") return { verdict: "unreached", by: "" };
    return { verdict: run.kind === "failed" ? "caught" : "endless", by: run.failed };
  }

  /** Takes the next `size` files of tests that reach the line from `left`. */
  async #nextReaching(left: string[], mutant: Mutant, size: number): Promise<string[]> {
    const found: string[] = [];
    for (let test = left.shift(); test !== undefined; test = left.shift()) {
      const lines = (await this.#reachOf(test, mutant.target.file))?.lines.get(mutant.target.file);
      // A condition may span lines of which only the first is counted.
      if ([0, -1, 1].some((by) => lines?.has(mutant.line + by))) found.push(test);
      if (found.length === size) break;
    }
    return found;
  }

  async #runMutated(mutant: Mutant, tests: readonly string[]): Promise<TestRun> {
    const took = tests.map((test) => this.#reaches.known(test, mutant.target.file)?.tookMs ?? 0);
    const withinMs = Math.max(endlessMs, 5 * took.reduce((sum, ms) => sum + ms, 0));
    const timeoutMs = Math.max(testTimeoutMs, ...took);
    return this.#mutated(mutant, () => this.#run(tests, { withinMs, timeoutMs, flags: ["--bail"] }));
  }

  async #mutated(mutant: Mutant, run: () => Promise<TestRun>): Promise<TestRun> {
    const { file, text } = mutant.target;
    writeFileSync(join(this.#copy, file), mutated(text, mutant));
    try {
      return await run();
    } finally {
      writeFileSync(join(this.#copy, file), text);
    }
  }

  async #reachOf(test: string, source: string): Promise<Reach | undefined> {
    const known = this.#reaches.known(test, source);
    if (known !== undefined || this.#unfit.has(test)) return known;
    // A busy machine may fail a test once.
    const reach = (await this.#measure(test)) ?? (await this.#measure(test));
    if (reach !== undefined) this.#reaches.keep(test, reach);
    else {
      this.#unfit.add(test);
      this.#options.onUnfit(test);
    }
    return reach;
  }

  async #measure(test: string): Promise<Reach | undefined> {
    const folder = mkdtempSync(join(this.#copy, "coverage-"));
    try {
      const flags = ["--coverage", "--coverage-reporter=lcov", `--coverage-dir=${folder}`];
      const { kind, tookMs } = await this.#run([test], { withinMs: coverageMsMax, timeoutMs: coverageMsMax, flags });
      if (kind !== "passed") return undefined;
      const report = join(folder, "lcov.info");
      return { tookMs, lines: existsSync(report) ? linesHit(readFileSync(report, "utf8")) : new Map() };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  #run(
    tests: readonly string[],
    { withinMs, timeoutMs, flags }: { withinMs: number; timeoutMs: number; flags: readonly string[] },
  ): Promise<TestRun> {
    const files = tests.map((test) => `./${test}`);
    return this.#execute(["test", "--timeout", `${Math.round(timeoutMs)}`, ...flags, ...files], withinMs);
  }

  async #execute(args: readonly string[], withinMs: number): Promise<TestRun> {
    const startedMs = performance.now();
    // A group of its own: what a test has started ends with it.
    const child = spawn(process.execPath, args, {
      ...{ cwd: this.#copy, stdio: ["ignore", "ignore", "pipe"], detached: true },
    });
    let output = "";
    child.stderr.on("data", (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-outputCharactersMax);
    });
    const end = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // The group has ended.
      }
    };
    this.#endRun = end;
    let isEndless = false;
    const timer = setTimeout(() => {
      isEndless = true;
      end();
    }, withinMs);
    const code = await new Promise<number | null>((resolve) => child.on("exit", resolve));
    clearTimeout(timer);
    end();
    // A process that has left the group would keep this one from ending.
    child.stderr.destroy();
    const tookMs = performance.now() - startedMs;
    return { kind: code === 0 ? "passed" : isEndless ? "endless" : "failed", tookMs, failed: failedIn(output) };
  }
}

/** The first test that failed, of bun's output; else its last words. */
function failedIn(output: string): string {
  const lines = output.split("\n").map((line) => line.trim());
  return lines.find((line) => line.startsWith("(fail)")) ?? lines.find((line) => line.startsWith("error:")) ?? "";
}

/** Lines of each file that were executed, of a report in lcov's format. */
function linesHit(report: string): Map<string, Set<number>> {
  return new Map(
    report.split("end_of_record").flatMap((record) => {
      const file = /^SF:(.+)$/m.exec(record)?.[1];
      if (file === undefined) return [];
      const hit = [...record.matchAll(/^DA:(\d+),(\d+)/gm)].filter(([, , hits]) => hits !== "0");
      return [[file, new Set(hit.map(([, line]) => Number(line)))] as const];
    }),
  );
}
