/**
 * `stead rewind` on a real cluster under load: the state of a moment on every host, then a failover, then new writes;
 * and back again. Clients get no error, and what they are told from then on is true.
 */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { demoApplication } from "../../harness/applications.ts";
import type { Cluster, GatewayMember } from "../../harness/cluster.ts";
import type { RewindAnswer } from "../../src/control/rewind-api.ts";
import type { PointInTime } from "../../src/host/secondary/point-in-time.ts";
import { type Bench, never, openBench, runStead } from "./harness.ts";

setDefaultTimeout(180_000);

const withinMs = 60_000;
let bench: Bench;
beforeEach(() => {
  bench = openBench();
});
afterEach(() => bench.close());

interface Note {
  readonly text: string;
}

/** Writes with several workers until it is stopped, and keeps what was acknowledged. */
class Writers {
  readonly acknowledged: string[] = [];
  readonly wrong: string[] = [];
  readonly #gateway: GatewayMember;
  readonly #name: string;
  #isStopped = false;
  #running: Promise<void>[] = [];

  constructor(gateway: GatewayMember, name: string) {
    this.#gateway = gateway;
    this.#name = name;
  }

  start(workers: number): this {
    this.#running = Array.from({ length: workers }, (_, worker) => this.#work(worker));
    return this;
  }

  async reach(count: number): Promise<void> {
    while (this.acknowledged.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#running);
  }

  async #work(worker: number): Promise<void> {
    for (let count = 0; !this.#isStopped; count += 1) {
      const text = `${this.#name} ${worker} ${count} ${"x".repeat(500)}`;
      const answer = await fetch(`${this.#gateway.url}/notes`, {
        method: "POST",
        body: JSON.stringify({ text }),
      }).catch((error: unknown) => error);
      if (answer instanceof Response && answer.status === 201) this.acknowledged.push(text);
      else this.wrong.push(answer instanceof Response ? `${answer.status} ${await answer.text()}` : String(answer));
    }
  }
}

async function texts(gateway: GatewayMember): Promise<ReadonlySet<string>> {
  const answer = await fetch(`${gateway.url}/changes?after=0&limit=10000`);
  const { changes } = (await answer.json()) as { changes: readonly Note[] };
  return new Set(changes.map(({ text }) => text));
}

const counted = (wanted: readonly string[], found: ReadonlySet<string>): number =>
  wanted.filter((text) => found.has(text)).length;

async function startAll(cluster: Cluster): Promise<GatewayMember> {
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("no gateway");
  await Promise.all([...cluster.hosts, ...cluster.gateways].map((member) => cluster.start(member)));
  await cluster.whenWhole(withinMs, never);
  return gateway;
}

async function rewind(gateway: GatewayMember, ...flags: string[]): Promise<RewindAnswer> {
  const { code, stdout, stderr } = await runStead(
    ["rewind", "--config", gateway.configFile, "--json", "--yes", ...flags],
    { withinMs: 120_000 },
  );
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout) as RewindAnswer;
}

async function stateAt(cluster: Cluster, position: number, name: string): Promise<PointInTime> {
  const host = cluster.hosts[0]?.configFile ?? "";
  const to = join(bench.folder, `restored-${name}`);
  const flags = ["--config", host, "--to", to, "--position", String(position), "--json"];
  const { code, stdout, stderr } = await runStead(["vault", "restore", ...flags]);
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout) as PointInTime;
}

const sumsOf = ({ databases, files }: PointInTime) => [databases.map(({ name, checksum }) => [name, checksum]), files];

test("goes back under load to the state of a moment, on every host, and forward again", async () => {
  const cluster = await bench.cluster({
    ...{ hosts: 2, application: demoApplication("notes", bench.folder) },
    // A checkpoint is made at any time, also because of the rewind's own flush.
    hostExtra: '\n[host.checkpoint]\njournal = "1MiB"\n',
  });
  const gateway = await startAll(cluster);
  const before = new Writers(gateway, "before").start(2);
  await before.reach(60);
  await before.stop();
  const moment = (await cluster.primary())?.status.position ?? 0;

  const writers = new Writers(gateway, "undone").start(4);
  await writers.reach(300);
  const certain = [...writers.acknowledged];
  const answer = await rewind(gateway, "--position", String(moment));
  expect(answer).toMatchObject({ done: true, plan: { to: { position: moment } } });
  expect(answer.plan.undone.flushes).toBeGreaterThan(0);
  const after = new Writers(gateway, "after").start(2);
  await after.reach(50);
  await Promise.all([writers.stop(), after.stop()]);
  expect([...before.wrong, ...writers.wrong, ...after.wrong]).toEqual([]);

  const expectState = async (): Promise<void> => {
    const found = await texts(gateway);
    expect(counted(before.acknowledged, found)).toBe(before.acknowledged.length);
    expect(counted(certain, found)).toBe(0);
    expect(counted(after.acknowledged, found)).toBe(after.acknowledged.length);
  };
  await expectState();
  // The vault has the moment, what was undone, and the rewind, which is the same state as the moment.
  const at = await stateAt(cluster, answer.position ?? 0, "rewound");
  expect(sumsOf(at)).toEqual(sumsOf(await stateAt(cluster, moment, "moment")));
  const undone = await stateAt(cluster, answer.undoneTo ?? 0, "undone");
  expect(sumsOf(undone)).not.toEqual(sumsOf(at));

  // Every host has it: the next primary is another one.
  const primary = await cluster.whenWhole(withinMs, never);
  primary.process?.signal("SIGKILL");
  await primary.process?.ended;
  await cluster.until(
    "a failover",
    withinMs,
    never,
    () => "",
    async () => {
      const now = await cluster.primary();
      return now !== undefined && now.host.id !== primary.id ? now : undefined;
    },
  );
  await expectState();
  await cluster.start(primary);
  await cluster.whenWhole(withinMs, never);
  for (const { folder } of cluster.hosts) expect(existsSync(join(folder, "set-aside"))).toBe(false);

  // A rewind is undone like everything else.
  await rewind(gateway, "--position", String(answer.undoneTo));
  const again = await texts(gateway);
  expect(counted(certain, again)).toBe(certain.length);
  expect(counted(after.acknowledged, again)).toBe(0);
  expect(readFileSync(primary.logFile, "utf8")).not.toContain("set aside");
});

test("says what would be undone, and changes nothing, unless it is told to", async () => {
  const cluster = await bench.cluster({ hosts: 1, application: demoApplication("notes", bench.folder) });
  const gateway = await startAll(cluster);
  const before = new Writers(gateway, "before").start(1);
  await before.reach(5);
  await before.stop();
  const moment = (await cluster.primary())?.status.position ?? 0;
  const later = new Writers(gateway, "later").start(1);
  await later.reach(5);
  await later.stop();
  const stead = (...flags: string[]) => runStead(["rewind", "--config", gateway.configFile, ...flags]);

  const dry = await stead("--position", String(moment), "--dry-run");
  expect([dry.code, dry.stderr]).toEqual([0, ""]);
  expect(dry.stdout).toContain(`back to      position ${moment}`);
  expect(dry.stdout).toContain("notes.db");
  const unconfirmed = await stead("--position", String(moment));
  expect(unconfirmed.code).toBe(5);
  expect(unconfirmed.stdout).toContain("--yes");
  const early = await stead("--time", "2001-01-01T00:00:00Z", "--yes");
  expect([early.code, early.stderr]).toEqual([5, expect.stringContaining("2001-01-01")]);
  const future = await stead("--time", "2999-01-01T00:00:00Z", "--yes");
  expect([future.code, future.stderr]).toEqual([5, expect.stringContaining("a time that is over")]);
  const { position: end } = (await cluster.primary())?.status ?? { position: 0 };
  const nothing = await stead("--position", String(end), "--yes");
  expect([nothing.code, nothing.stderr]).toEqual([5, expect.stringContaining("nothing was committed")]);
  expect(counted(later.acknowledged, await texts(gateway))).toBe(later.acknowledged.length);

  // A single host takes over again itself.
  await rewind(gateway, "--position", String(moment));
  const found = await texts(gateway);
  expect(counted(later.acknowledged, found)).toBe(0);
  expect(counted(before.acknowledged, found)).toBe(before.acknowledged.length);
  const { stdout } = await runStead(["status", "--config", gateway.configFile]);
  expect(stdout).toContain("rewind");
});

test("a primary that is killed at any step of it leaves the old state or the new one, and the command says which", async () => {
  const cluster = await bench.cluster({ hosts: 2, application: demoApplication("notes", bench.folder) });
  const gateway = await startAll(cluster);
  const before = new Writers(gateway, "before").start(2);
  await before.reach(20);
  await before.stop();
  const kept = [...before.acknowledged];
  const steps = [
    "a rewind is being prepared",
    "primary -> draining",
    "rewound",
    "stepped down",
    "draining -> restoring",
  ];
  const outcomes: string[] = [];
  for (const [round, step] of steps.entries()) {
    const { host, status } = (await cluster.primary()) ?? { host: undefined, status: undefined };
    if (host === undefined) throw new Error("no primary");
    const writers = new Writers(gateway, `round ${round}`).start(3);
    await writers.reach(60);
    const certain = [...writers.acknowledged];
    const from = readFileSync(host.logFile, "utf8").length;
    let isOver = false;
    const ordered = runStead(
      ["rewind", "--config", gateway.configFile, "--json", "--yes", "--position", String(status.position)],
      { withinMs: 120_000 },
    ).finally(() => (isOver = true));
    // So that the end of a term is seen as soon as it is told.
    while (!isOver && !readFileSync(host.logFile, "utf8").slice(from).includes(step))
      await new Promise((resolve) => setTimeout(resolve, 1));
    host.process?.signal("SIGKILL");
    await host.process?.ended;
    const { code, stderr } = await ordered;
    await cluster.start(host);
    await cluster.whenWhole(withinMs, never);
    await writers.stop();
    const found = await texts(gateway);
    const isUndone = counted(certain, found) === 0;
    expect({ step, kept: counted(kept, found) }).toEqual({ step, kept: kept.length });
    // All of it or nothing.
    expect([0, certain.length]).toContain(counted(certain, found));
    if (code === 0) expect({ step, isUndone }).toEqual({ step, isUndone: true });
    else expect({ step, isUndone, stderr }).toEqual({ step, isUndone: false, stderr });
    outcomes.push(`${step}: ${isUndone ? "new" : "old"}`);
    if (!isUndone) kept.push(...certain);
    // What an undone request had not been told yet is executed once, on the state of then.
    const { ok } = await fetch(`${gateway.url}/notes`, { method: "POST", body: JSON.stringify({ text: step }) });
    expect(ok).toBe(true);
    kept.push(step);
  }
  expect(
    outcomes.some((outcome) => outcome.endsWith("old")) && outcomes.some((outcome) => outcome.endsWith("new")),
  ).toBe(true);
});

test("a request with a key that is undone is executed again when its client repeats it; one from before is not", async () => {
  const cluster = await bench.cluster({
    ...{ hosts: 2, application: demoApplication("notes", bench.folder) },
    serviceExtra: "idempotency_key = true\n",
  });
  const gateway = await startAll(cluster);
  const post = async (key: string, text: string) => {
    const answer = await fetch(`${gateway.url}/notes`, {
      method: "POST",
      headers: { "Idempotency-Key": key },
      body: JSON.stringify({ text }),
    });
    return [answer.status, await answer.text()];
  };
  const first = await post("one", "one");
  const moment = (await cluster.primary())?.status.position ?? 0;
  await post("two", "two");
  await post("three", "three");
  const answer = await rewind(gateway, "--position", String(moment));
  expect(await post("one", "one")).toEqual(first);
  expect((await post("three", "three"))[0]).toBe(201);
  expect([...(await texts(gateway))].toSorted()).toEqual(["one", "three"]);
  // Brought back, both are in the state, and are not executed again.
  await rewind(gateway, "--position", String(answer.undoneTo));
  expect((await post("two", "two"))[0]).not.toBe(201);
  expect([...(await texts(gateway))].toSorted()).toEqual(["one", "three", "two"]);
});

test("files beside the databases go back with them, in an encrypted vault with its log in segments", async () => {
  const cluster = await bench.cluster({
    ...{ hosts: 2, application: demoApplication("notes", bench.folder), log: "segments", vaultKeys: "encrypted" },
    hostKeys: 'files = ["attachments/**"]\n',
  });
  const gateway = await startAll(cluster);
  const upload = async (content: string): Promise<number> => {
    const answer = await fetch(`${gateway.url}/notes/1/attachments`, { method: "POST", body: content });
    return ((await answer.json()) as { id: number }).id;
  };
  const read = async (id: number): Promise<string | number> => {
    const answer = await fetch(`${gateway.url}/attachments/${id}`);
    return answer.ok ? answer.text() : answer.status;
  };
  await fetch(`${gateway.url}/notes`, { method: "POST", body: JSON.stringify({ text: "one" }) });
  const kept = await upload("kept");
  const removed = await upload("r".repeat(700_000));
  const moment = (await cluster.primary())?.status.position ?? 0;
  await fetch(`${gateway.url}/attachments/${removed}`, { method: "DELETE" });
  const added = await upload("added");
  const answer = await rewind(gateway, "--position", String(moment));
  expect([await read(kept), await read(added), String(await read(removed)).length]).toEqual(["kept", 404, 700_000]);
  expect(sumsOf(await stateAt(cluster, answer.position ?? 0, "rewound"))).toEqual(
    sumsOf(await stateAt(cluster, moment, "moment")),
  );
  await rewind(gateway, "--position", String(answer.undoneTo));
  expect([await read(kept), await read(added), await read(removed)]).toEqual(["kept", "added", 404]);
  const verified = await runStead(["vault", "verify", "--config", cluster.hosts[0]?.configFile ?? ""]);
  expect([verified.code, verified.stderr]).toEqual([0, ""]);
});
