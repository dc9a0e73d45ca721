/**
 * Transactions, readers and checkpoints that are unusual in what they last, hold or ask for, and connections that are
 * many.
 */
import { expect } from "bun:test";
import type { Action } from "../engine-actions.ts";
import type { EngineScene } from "./engine-scene.ts";
import type { SharedPart } from "./row.ts";

const begin = (name: string, as: string): Action[] => [
  { open: `${name}.db`, as },
  { exec: "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; CREATE TABLE IF NOT EXISTS t(v)", on: as },
];
const blobs = (count: number): string =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<${count}) INSERT INTO t SELECT randomblob(1000000) FROM n`;
const lengths = "SELECT count(*) || ' of ' || sum(length(v)) FROM t";

let transferred = 0;
const transfer: Action = {
  exec: "BEGIN IMMEDIATE; UPDATE main.t SET v=v+1; UPDATE other.t SET v=v+1; COMMIT",
  on: "left",
};

export const attached: SharedPart = {
  kind: "shared",
  does: "transactions over two ATTACHed databases are there whole after a kill in the middle of them",
  async use(here) {
    transferred = 0;
    await here.must([
      ...begin("right", "right"),
      { exec: "INSERT INTO t VALUES (0)", on: "right" },
      { close: "right" },
    ]);
    await here.must([
      ...begin("left", "left"),
      { exec: `INSERT INTO t VALUES (0); ATTACH '${here.path("right.db").toString()}' AS other`, on: "left" },
    ]);
    await transferSome(here, 20);
  },
  untilKilled: (here) => transferSome(here, Number.POSITIVE_INFINITY),
  check(restored) {
    const [[left], [right]] = [restored.all("left.db", "SELECT v FROM t"), restored.all("right.db", "SELECT v FROM t")];
    expect(left).toBe(right);
    expect(left as number).toBeGreaterThanOrEqual(transferred);
  },
  leaves: ["left.db", "right.db"],
};

async function transferSome(here: EngineScene, times: number): Promise<void> {
  for (let nth = 0; nth < times; nth++) {
    await here.must([transfer]);
    transferred += 1;
  }
}

/** Once answers stalled for 3 s then, and the host was taken for hanging. */
const lockedMs = 3_500;

export const lockedWhenNew: SharedPart = {
  kind: "shared",
  does: "a new database in rollback mode that stays locked holds answers until it is committed",
  async use(here) {
    const answers = [
      here.must([
        { open: "import.db", as: "import" },
        { exec: "CREATE TABLE t(v); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)", on: "import" },
      ]),
    ];
    await here.untilHeld("import.db");
    const heldSince = performance.now();
    answers.push(here.commit());
    await here.until("the time to be over", () => performance.now() - heldSince > lockedMs);
    await Promise.all([
      ...answers,
      here.must([{ exec: "INSERT INTO t VALUES (2); COMMIT", on: "import" }, { close: "import" }]),
    ]);
  },
  check: (restored) => expect(restored.all("import.db", "SELECT v FROM t ORDER BY v")).toEqual([1, 2]),
  leaves: ["import.db"],
};

/** Over 64 MiB: from there on a log is told. */
const megabytesRead = 68;
/** How often a log was started over (walformat.html). */
const generation = (here: EngineScene, name: string): number => here.bytes(`${name}-wal`, 12, 4).readUInt32BE();

export const forgottenReader: SharedPart = {
  kind: "shared",
  does: "a read transaction that is forgotten is told with its process until it ends, the log starts over then, and all data is right",
  async use(here) {
    await here.must([
      ...begin("read", "writer"),
      { exec: "INSERT INTO t VALUES (1)", on: "writer" },
      { open: "read.db", as: "reader" },
      { exec: "BEGIN", on: "reader" },
      { all: "SELECT v FROM t", on: "reader" },
    ]);
    const before = generation(here, "read.db");
    for (let nth = 0; nth < megabytesRead; nth += 4) await here.must([{ exec: blobs(4), on: "writer" }]);
    // Held by a process, not by a checkpoint of this host.
    const isHeld = async () =>
      ((await here.status()).capture?.longLogs ?? []).some(
        ({ database, heldBy }) => database === "read.db" && heldBy.some((name) => /^\d+ \(/.test(name)),
      );
    await here.until("the log to be told", isHeld);
    expect(generation(here, "read.db")).toBe(before);
    await here.must([{ exec: "ROLLBACK", on: "reader" }, { close: "reader" }]);
    await here.until("the log to be done", async () => !(await isHeld()));
    // A checkpoint of this host keeps a log from starting over as well, and it is a commit that starts one over.
    await here.checkpoint();
    const isOver = async () => {
      await here.must([{ exec: "PRAGMA user_version=1", on: "writer" }]);
      return generation(here, "read.db") !== before;
    };
    await here.until("the log to start over", isOver);
    await here.must([{ exec: "INSERT INTO t VALUES (2)", on: "writer" }, { close: "writer" }]);
  },
  check: (restored) =>
    expect(restored.all("read.db", lengths)).toEqual([`${megabytesRead + 2} of ${megabytesRead * 1_000_000 + 2}`]),
  leaves: ["read.db"],
};

const megabytesAtOnce = 60;

export const giant: SharedPart = {
  kind: "shared",
  does: "one transaction of 60 MB beside other commits",
  async use(here) {
    await here.must([...begin("giant", "giant")]);
    await Promise.all([
      here.must([{ exec: `BEGIN; ${blobs(megabytesAtOnce)}; COMMIT`, on: "giant" }]),
      here.commit(),
      here.commit(),
    ]);
    await here.must([{ close: "giant" }]);
  },
  check: (restored) =>
    expect(restored.all("giant.db", lengths)).toEqual([`${megabytesAtOnce} of ${megabytesAtOnce * 1_000_000}`]),
  leaves: ["giant.db"],
};

const hastyTimes = 4000;

export const hasty: SharedPart = {
  kind: "shared",
  does: "a writer without a busy timeout is kept out once for each write lock that this host takes at most, or once in all",
  async use(here) {
    const locks = async () => (await here.status()).capture?.writeLocks.count ?? 0;
    const before = await locks();
    await here.must(begin("hasty", "setup"));
    const refused = await here.must([
      { close: "setup" },
      { open: "hasty.db", as: "hasty", timeoutMs: 0 },
      { exec: "PRAGMA synchronous=NORMAL", on: "hasty" },
      { hasty: "INSERT INTO t VALUES (randomblob(2000))", times: hastyTimes, on: "hasty" },
    ]);
    // Without stead none, and 0.4 % of them once.
    expect(refused as number).toBeLessThanOrEqual(Math.max(1, (await locks()) - before));
    await here.must([{ close: "hasty" }]);
  },
  check: (restored) => expect(restored.all("hasty.db", lengths)).toEqual([`${hastyTimes} of ${hastyTimes * 2000}`]),
  leaves: ["hasty.db"],
};

const loops = 100;
/**
 * Longer than all of them take: such loops starve writers on a busy machine, with and without a host. That this host
 * adds nothing which a checkpoint waits for is counted in test/behaviour/capture/kept-out.test.ts. Shorter than an
 * application may stand still.
 */
const patienceMs = 25_000;
const loopedCommits = 40;

export const checkpointLoops: SharedPart = {
  kind: "shared",
  does: "RESTART and TRUNCATE checkpoints in a tight loop of another process end nothing, and what is committed beside them is there",
  async use(here) {
    const checkpoints: Action[] = [
      { open: "loops.db", timeoutMs: patienceMs },
      { each: loops, run: [{ exec: "PRAGMA wal_checkpoint(RESTART)" }, { exec: "PRAGMA wal_checkpoint(TRUNCATE)" }] },
      { all: "SELECT 'over'" },
    ];
    await here.must([
      ...begin("loops", "loops"),
      { exec: `PRAGMA busy_timeout=${patienceMs}`, on: "loops" },
      { child: "checkpoints", run: checkpoints },
    ]);
    for (let nth = 0; nth < loopedCommits; nth++)
      await here.must([{ exec: `INSERT INTO t VALUES (${nth})`, on: "loops" }]);
    expect(await here.must([{ join: "checkpoints" }])).toEqual(["over"]);
    await here.must([{ close: "loops" }]);
  },
  check: (restored) =>
    expect(restored.all("loops.db", "SELECT v FROM t ORDER BY v")).toEqual(
      Array.from({ length: loopedCommits }, (_, nth) => nth),
    ),
  leaves: ["loops.db"],
};

export const commits: SharedPart = {
  kind: "shared",
  does: "what was acknowledged of the application's own database beside all of this is there, and nothing else",
  use: (here) => here.commit(),
  check: (restored, here) =>
    expect(restored.all("app.db", "SELECT v FROM t ORDER BY v")).toEqual(here.acknowledged.toSorted((a, b) => a - b)),
  leaves: ["app.db"],
};
