/**
 * `bun run bench:look`: the cost of one look of the gate, beside that of the WAL indexes alone (one pread for each
 * database), which no gate can do without. In one process, in turns; medians of the rounds. The last line with --json:
 * {"bench":"look","rounds":N,"results":[{"databases":N,"index_us":N,"look_us":N,"ratio":N}]}
 */
import { mkdirSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Source } from "../src/capture/source.ts";
import { walIndexBytes } from "../src/capture/wal-index.ts";
import { allRules } from "../src/core/rules.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { median, parseBenchArguments, rounded } from "./bench-support.ts";

const databaseCounts = [1, 4, 30] as const;
const looksPerRound = 20_000;
const options = parseBenchArguments({ rounds: 7 });
const say = (line: string): void => void (options.json ? process.stderr : process.stdout).write(`${line}\n`);

const folder = mkdtempSync(join(tmpdir(), "stead-bench-look-"));
const results = [];
for (const count of databaseCounts) results.push(await measure(count));
rmSync(folder, { recursive: true });
if (options.json) process.stdout.write(`${JSON.stringify({ bench: "look", rounds: options.rounds, results })}\n`);

async function measure(databases: number): Promise<object> {
  const root = join(folder, String(databases));
  mkdirSync(root);
  const paths = Array.from({ length: databases }, (_, at) => join(root, `${at}.db`));
  for (const path of paths) {
    const connection = new DatabaseSync(path);
    connection.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
    connection.close();
  }
  const source = await Source.open({ root, databases: ["*.db"], clock: systemClock, rules: allRules, onWarning: say });
  // Left open until the process ends: closing them would drop the locks of the source.
  const indexes = paths.map((path) => openSync(`${path}-shm`, "r"));
  const bytes = new Uint8Array(walIndexBytes);
  // Files that were just made are examined beyond their time stamps; the bench measures the steady state.
  while (source.isAhead()) await source.collect();
  await systemClock.sleep(3000);
  const looks = Math.ceil(looksPerRound / databases);
  const time = (work: () => void): number => {
    const startedMs = performance.now();
    for (let look = 0; look < looks; look += 1) work();
    return ((performance.now() - startedMs) / looks) * 1000;
  };
  const readIndexes = (): void => {
    for (const fd of indexes) readSync(fd, bytes, 0, walIndexBytes, 0);
  };
  const rounds: { index: number; look: number }[] = [];
  for (let round = 0; round < options.rounds; round += 1)
    rounds.push({ index: time(readIndexes), look: time(() => void source.isAhead()) });
  await source.close();
  const [index, look] = [median(rounds.map((round) => round.index)), median(rounds.map((round) => round.look))];
  say(
    `${String(databases).padStart(3)} databases: indexes alone ${index.toFixed(2)} us, a look ${look.toFixed(2)} us, ratio ${(look / index).toFixed(2)}`,
  );
  return { databases, index_us: rounded(index), look_us: rounded(look), ratio: rounded(look / index) };
}
