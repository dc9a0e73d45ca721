import { afterEach, beforeEach, describe, expect, mock, spyOn, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Batch } from "../../src/capture/batch.ts";
import { FrameThread } from "../../src/capture/frame-thread.ts";
import { ReadAhead } from "../../src/capture/read-ahead.ts";
import type { StagedBytes } from "../../src/core/delta.ts";
import { putParts } from "../../src/host/primary/flush-parts.ts";
import { FlushAssembler } from "../../src/vault/log/flush-assembler.ts";
import type { LogReader } from "../../src/vault/log/log-reader.ts";
import type { LogWriter } from "../../src/vault/log/log-writer.ts";
import { makeHost, readerOf } from "../support/vault/log-fixture.ts";
import { makeTemporaryVault, type TemporaryVault } from "../support/vault/temporary-vault.ts";
import { Application, Pair, temporaryFolder } from "../support/capture/pair.ts";

const pageSize = 4096;
const insert = (count: number, table = "t"): string =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<${count}) INSERT INTO ${table}(v) SELECT randomblob(3900) FROM n`;
const setUp =
  "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=10; PRAGMA busy_timeout=0; CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, v); CREATE TABLE IF NOT EXISTS u(id INTEGER PRIMARY KEY, v)";

/** A primary with a vault in a folder, to which some hundred kilobytes are a large transaction, and a secondary. */
class Hosts {
  readonly folder = temporaryFolder();
  readonly application = new Application();
  readonly staged: StagedBytes[] = [];
  /** Parts of flushes that the vault had before they were put. */
  laidOut = 0;
  vault!: TemporaryVault;
  pair!: Pair;
  writer!: LogWriter;
  #reader!: LogReader;
  readonly #assembler = new FlushAssembler();

  static async begin(pragmas = ""): Promise<Hosts> {
    const hosts = new Hosts();
    hosts.vault = await makeTemporaryVault();
    mkdirSync(join(hosts.folder.path, "app"));
    await hosts.open("a", "app.db", pragmas);
    hosts.pair = await Pair.open(hosts.folder.path, {
      limits: {
        eagerBytesMax: 0,
        partBytesMax: 50_000,
        readAheadBytesMin: 100_000,
        stagedPartBytes: 40_000,
      },
    });
    hosts.writer = await makeHost("a", hosts.vault.store).lead();
    hosts.#reader = readerOf(hosts.vault.store);
    const { writer } = hosts;
    hosts.pair.source.stageAhead({
      bytesBeforePages: (name) => writer.bytesBeforePages(name),
      stage: async (bytes) => {
        const staged = await writer.stage(bytes);
        if (staged !== undefined) hosts.staged.push(staged);
        return staged;
      },
    });
    return hosts;
  }

  async open(connection: string, file: string, pragmas = ""): Promise<void> {
    await this.application.open(connection, join(this.folder.path, "app", file));
    await this.application.run(connection, `PRAGMA page_size=${pageSize}; ${pragmas} ${setUp}`);
  }

  run(sql: string): Promise<unknown> {
    return this.application.run("a", sql);
  }

  /** Reads ahead as the journal does until so many more parts are staged, and collects when the log restarts. */
  async untilStaged(more = 3): Promise<void> {
    const wanted = this.staged.length + more;
    while (this.staged.length < wanted) {
      if (this.pair.source.isAhead()) await this.flush();
      await this.tick();
    }
  }

  async tick(): Promise<void> {
    await this.pair.source.tick();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }

  async collect(): Promise<Batch> {
    const batch = await this.pair.source.collect();
    if (batch === undefined) throw new Error("nothing was collected");
    return batch;
  }

  /** Puts what is committed, as the journal does, and lets the secondary apply what the log has. */
  async flush(): Promise<void> {
    const batch = await this.pair.source.collect();
    if (batch !== undefined) await this.put(batch);
  }

  async put(batch: Batch): Promise<void> {
    await putParts(batch, {
      put: async ({ body }) => {
        if (body.databases[0]?.laidOut !== undefined) this.laidOut += 1;
        await this.writer.append(body);
      },
      prepare: ({ body }) => this.writer.prepare(body),
    });
    batch.done();
    await this.follow();
  }

  async follow(): Promise<void> {
    for (let record = await this.#reader.next(); record !== undefined; record = await this.#reader.next()) {
      const flush = this.#assembler.push(record);
      if (flush !== undefined) await this.pair.replica.apply(flush);
    }
  }

  async expectSame(name = "app.db", connection = "a"): Promise<void> {
    expect(this.pair.copyHash(name)).toBe((await this.application.image(connection)).sha256);
  }

  /** Files with content and without a name in the vault: those that are opened ahead are empty. */
  temporaries(): number {
    const folder = join(this.vault.folder, "tmp");
    const sizeOf = (name: string): number => statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0;
    return readdirSync(folder).filter((name) => sizeOf(name) > 0).length;
  }

  /** What is put is removed in the background. */
  async temporariesInTheEnd(): Promise<number> {
    for (let look = 1; look < 100 && this.temporaries() > 0; look += 1)
      await new Promise((resolve) => setTimeout(resolve, 20));
    return this.temporaries();
  }

  async end(): Promise<void> {
    await this.application.kill();
    await this.pair.close();
    await this.vault.dispose();
    this.folder[Symbol.dispose]();
  }
}

describe("a large transaction that is read while it is written", () => {
  let hosts: Hosts;
  beforeEach(async () => {
    hosts = await Hosts.begin();
  });
  afterEach(async () => {
    mock.restore();
    await hosts.end();
  });

  test("is in no record before its commit, and put from what the vault has then", async () => {
    await hosts.run(`BEGIN; ${insert(200)}`);
    await hosts.untilStaged();
    expect(hosts.writer.position).toBe(1);
    expect(hosts.pair.source.isAhead()).toBe(false);
    await hosts.run("COMMIT");
    await hosts.flush();
    expect(hosts.laidOut).toBeGreaterThan(10);
    await hosts.expectSame();
    expect(await hosts.temporariesInTheEnd()).toBe(0);
  });

  test("leaves nothing when it is rolled back, and the next transaction is put unchanged", async () => {
    await hosts.run(`BEGIN; ${insert(200)}`);
    await hosts.untilStaged();
    await hosts.run("ROLLBACK");
    while (hosts.temporaries() > 0) await hosts.tick();
    expect(await hosts.pair.source.collect()).toBeUndefined();
    await hosts.run(`BEGIN; ${insert(90, "u")}; ${insert(60)}`);
    await hosts.untilStaged();
    await hosts.run("COMMIT");
    await hosts.flush();
    await hosts.expectSame();
  });

  test("that is rolled back and followed by another one before the next look is not put", async () => {
    await hosts.run(`BEGIN; ${insert(200)}`);
    await hosts.untilStaged();
    await hosts.run(`ROLLBACK; BEGIN; ${insert(250, "u")}; COMMIT`);
    await hosts.flush();
    await hosts.expectSame();
    expect(await hosts.temporariesInTheEnd()).toBe(0);
  });

  test("that is rolled back leaves pages alone that the next one does not write", async () => {
    await hosts.run(`BEGIN; ${insert(150)}; COMMIT`);
    await hosts.flush();
    await hosts.run("BEGIN; UPDATE t SET v=randomblob(3900)");
    await hosts.untilStaged();
    await hosts.run(`ROLLBACK; BEGIN; ${insert(250, "u")}; COMMIT`);
    await hosts.flush();
    await hosts.expectSame();
  });

  test("with pages that are written again over their frames has their last content", async () => {
    await hosts.run(`BEGIN; ${insert(150)}`);
    await hosts.untilStaged();
    await hosts.run("UPDATE t SET v=randomblob(3900); UPDATE t SET v=randomblob(3900) WHERE id%3=0; COMMIT");
    await hosts.flush();
    expect(hosts.laidOut).toBeGreaterThan(0);
    await hosts.expectSame();
  });

  test("without the pages of a savepoint that was rolled back, whose frames other pages have then", async () => {
    await hosts.run(`BEGIN; ${insert(60)}; SAVEPOINT s; ${insert(120)}`);
    await hosts.untilStaged(5);
    await hosts.run(`ROLLBACK TO s; ${insert(100, "u")}; UPDATE t SET v=randomblob(3900) WHERE id%2=0; COMMIT`);
    await hosts.flush();
    await hosts.expectSame();
  });

  test("whose writer is killed is dropped, and another process writes in its place", async () => {
    await hosts.run(`BEGIN; ${insert(200)}`);
    await hosts.untilStaged();
    await hosts.application.kill();
    await using other = new Application();
    await other.open("b", join(hosts.folder.path, "app", "app.db"));
    await other.run("b", `PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=10; BEGIN; ${insert(150, "u")}; COMMIT`);
    await hosts.flush();
    expect(hosts.pair.copyHash("app.db")).toBe((await other.image("b")).sha256);
    expect(await hosts.temporariesInTheEnd()).toBe(0);
  });

  test("keeps no other database from being put meanwhile", async () => {
    await hosts.open("b", "other.db");
    await hosts.pair.settle();
    await hosts.run(`BEGIN; ${insert(200)}`);
    await hosts.untilStaged();
    const before = hosts.writer.position;
    await hosts.application.run("b", "INSERT INTO t(v) VALUES('meanwhile')");
    await hosts.flush();
    expect(hosts.writer.position).toBe(before + 1);
    await hosts.expectSame("other.db", "b");
    await hosts.run("COMMIT");
    await hosts.flush();
    expect(hosts.laidOut).toBeGreaterThan(0);
    await hosts.expectSame();
  });

  test("may start the log over after a checkpoint", async () => {
    for (let round = 0; round < 3; round++) {
      await hosts.run(`BEGIN; ${insert(100 + round)}; UPDATE t SET v=randomblob(3900) WHERE id<30`);
      await hosts.untilStaged();
      await hosts.run("COMMIT");
      await hosts.flush();
      await hosts.expectSame();
      for (let i = 0; i < 20; i++) await hosts.tick();
      await hosts.run("PRAGMA wal_checkpoint(PASSIVE)");
    }
    expect(hosts.laidOut).toBeGreaterThan(9);
  });

  test("is read from its log when the vault has lost what was staged", async () => {
    await hosts.run(`BEGIN; ${insert(150)}`);
    await hosts.untilStaged();
    await hosts.run("COMMIT");
    const batch = await hosts.collect();
    for (const name of readdirSync(join(hosts.vault.folder, "tmp"))) rmSync(join(hosts.vault.folder, "tmp", name));
    await hosts.put(batch);
    await hosts.expectSame();
  });

  test("is read from its log when the vault returns other bytes than were staged", async () => {
    await hosts.run(`BEGIN; ${insert(150)}`);
    await hosts.untilStaged();
    await hosts.run("COMMIT");
    const batch = await hosts.collect();
    for (const name of readdirSync(join(hosts.vault.folder, "tmp"))) {
      const path = join(hosts.vault.folder, "tmp", name);
      const bytes = readFileSync(path);
      const at = bytes.byteLength - 100;
      if (at > 0) bytes[at] = ~(bytes[at] as number);
      writeFileSync(path, bytes);
    }
    await hosts.put(batch);
    await hosts.expectSame();
  });

  test("is dropped when its flush is not put completely", async () => {
    await hosts.run(`BEGIN; ${insert(150)}`);
    await hosts.untilStaged();
    await hosts.run("COMMIT");
    const batch = await hosts.collect();
    batch.abort();
    expect(await hosts.temporariesInTheEnd()).toBe(0);
  });

  test("is read to the end of what is being read when the host ends as primary, and its thread ends after that", async () => {
    const calls: string[] = [];
    const [gate, closing] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const { take, close } = FrameThread.prototype;
    const { closed } = ReadAhead.prototype;
    spyOn(FrameThread.prototype, "take").mockImplementation(async function (this: FrameThread, request) {
      calls.push("begun");
      await gate.promise;
      const part = await take.call(this, request);
      calls.push("read");
      return part;
    });
    spyOn(FrameThread.prototype, "close").mockImplementation(async function (this: FrameThread) {
      calls.push("ended");
      await close.call(this);
    });
    spyOn(ReadAhead.prototype, "closed").mockImplementation(async function (this: ReadAhead) {
      closing.resolve();
      await closed.call(this);
    });
    await hosts.run(`BEGIN; ${insert(200)}`);
    while (calls.length === 0) await hosts.tick();
    const ended = hosts.pair.source.close();
    await closing.promise;
    gate.resolve();
    await ended;
    expect(calls).toEqual(["begun", "read", "ended"]);
  });

  test("is dropped when the host ends as primary", async () => {
    await hosts.run(`BEGIN; ${insert(150)}`);
    await hosts.untilStaged();
    await hosts.pair.source.close();
    expect(await hosts.temporariesInTheEnd()).toBe(0);
  });
});

test("a transaction that makes the database shorter is put without the pages behind its end", async () => {
  const hosts = await Hosts.begin("PRAGMA auto_vacuum=FULL;");
  try {
    await hosts.run(`BEGIN; ${insert(200)}`);
    await hosts.untilStaged();
    await hosts.run("DELETE FROM t WHERE id>40; COMMIT");
    await hosts.flush();
    await hosts.expectSame();
  } finally {
    await hosts.end();
  }
});

for (const seed of [1, 2, 3, 4]) {
  test(`whatever transactions do, the secondary has what was committed (seed ${seed})`, async () => {
    const hosts = await Hosts.begin(seed % 2 === 0 ? "PRAGMA auto_vacuum=FULL;" : "");
    let state = seed * 7919;
    const draw = (below: number): number => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor((state / 2_147_483_648) * below);
    };
    const steps = [
      () => insert(20 + draw(80)),
      () => insert(20 + draw(80), "u"),
      () => `UPDATE t SET v=randomblob(3900) WHERE id%${2 + draw(5)}=0`,
      () => `DELETE FROM u WHERE id%${2 + draw(4)}=0`,
      () => `SAVEPOINT s; ${insert(20 + draw(60))}; ROLLBACK TO s`,
      () => `SAVEPOINT s; ${insert(20 + draw(60), "u")}; RELEASE s`,
    ];
    try {
      for (let transaction = 0; transaction < 12; transaction++) {
        await hosts.run("BEGIN");
        for (let step = 0; step < 2 + draw(5); step++) {
          await hosts.run((steps[draw(steps.length)] as () => string)());
          for (let i = draw(12); i > 0; i--) await hosts.tick();
        }
        await hosts.run(draw(4) === 0 ? "ROLLBACK" : "COMMIT");
        if (draw(3) === 0) for (let i = 0; i < 8; i++) await hosts.tick();
        if (hosts.pair.source.isAhead()) await hosts.flush();
        await hosts.expectSame();
        if (draw(3) === 0) await hosts.run("PRAGMA wal_checkpoint(PASSIVE)");
      }
      expect(hosts.laidOut).toBeGreaterThan(5);
      // The last one may have been rolled back.
      for (let i = 0; i < 8; i++) await hosts.tick();
      expect(await hosts.temporariesInTheEnd()).toBe(0);
    } finally {
      await hosts.end();
    }
  });
}
