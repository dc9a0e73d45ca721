/**
 * A record that no host can apply: hosts name it, the primary mends the log with a checkpoint, and hosts follow from
 * there.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { HostMember } from "../../../harness/cluster.ts";
import { runStead } from "../harness.ts";
import { Scene } from "./scene.ts";

setDefaultTimeout(120_000);

let scene: Scene | undefined;
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});

const program = [process.execPath, join(import.meta.dirname, "spoiling-main.ts")] as const;
const atStart =
  'app = sqlite3.connect(data + "/app.db", isolation_level=None); app.execute("PRAGMA journal_mode=WAL"); app.execute("CREATE TABLE IF NOT EXISTS t(v)")';
const insert = (value: number): string => `app.execute("INSERT INTO t VALUES (${value})")`;
const read = 'result = [row[0] for row in app.execute("SELECT v FROM t ORDER BY v")]';

/** One host serves and has committed 1; the other is not started. */
async function beginWithOne(): Promise<{ here: Scene; first: HostMember; second: HostMember }> {
  scene = await Scene.prepare({ atStart, program });
  const [first, second] = scene.cluster.hosts as readonly [HostMember, HostMember];
  await scene.cluster.start(first);
  for (const gateway of scene.cluster.gateways) await scene.cluster.start(gateway);
  await scene.primary();
  await scene.must(insert(1));
  return { here: scene, first, second };
}

/** The next commit is journaled with a page that is not the hashed one. */
async function spoil(here: Scene, host: HostMember, value: number): Promise<void> {
  const trigger = join(host.folder, "spoil");
  writeFileSync(trigger, "");
  await here.must(insert(value));
  expect(existsSync(trigger)).toBe(false);
}

test("a second host that joins behind such a record has the primary mend the log, follows, and serves after a kill", async () => {
  const { here, first, second } = await beginWithOne();
  await spoil(here, first, 2);
  await here.must(insert(3));

  const vault = join(here.bench.folder, "vault");
  const verified = await runStead(["vault", "verify", vault]);
  expect(verified.stdout).toMatch(
    /DAMAGE +unappliable-flush: no host can apply the flush that ends at position \d+: database app\.db/,
  );
  expect(verified.code).toBe(9);
  const refused = await runStead(["vault", "restore", vault, "--to", join(here.bench.folder, "all")]);
  expect([refused.code, refused.stderr]).toEqual([
    4,
    expect.stringMatching(/the flush that ends at position \d+ cannot be applied: app\.db[\s\S]*--last-whole/),
  ]);
  const whole = await runStead(["vault", "restore", vault, "--to", join(here.bench.folder, "whole"), "--last-whole"]);
  expect([whole.code, whole.stdout]).toEqual([
    0,
    expect.stringMatching(
      /not in it +positions \d+ to \d+: \d+ records with commits, the last of \S+; they change app\.db/,
    ),
  ]);

  await here.cluster.start(second);
  await here.cluster.whenWhole(60_000, new AbortController().signal);
  const mended = await runStead(["vault", "verify", vault]);
  expect(mended.stdout).toMatch(
    /notice +unappliable-flush: .*hosts start behind it, from the checkpoint at position \d+/,
  );
  expect(mended.code).toBe(0);
  await here.killPrimary();
  expect(await here.must(read)).toEqual([1, 2, 3]);
});

test("a record that is damaged on the vault's disk is mended in the same way", async () => {
  const { here, second } = await beginWithOne();
  const vault = join(here.bench.folder, "vault");
  const listed = await runStead(["vault", "ls", vault, "--records"]);
  const position = Number(/record +(\d+) commit/.exec(listed.stdout)?.[1]);
  const record = join(vault, "log", String(position).padStart(16, "0"));
  chmodSync(record, 0o600);
  const bytes = readFileSync(record);
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
  writeFileSync(record, bytes);
  await here.must(insert(2));
  await here.cluster.start(second);
  await here.cluster.whenWhole(60_000, new AbortController().signal);
  expect((await here.cluster.statusOf(second))?.checkpoint?.position).toBeGreaterThan(position);
  await here.killPrimary();
  expect(await here.must(read)).toEqual([1, 2]);
});

test("a secondary that meets such a record while it follows does the same", async () => {
  scene = await Scene.open({ atStart, program });
  const here = scene;
  await here.must(insert(1));
  const primary = await here.primary();
  const other = here.cluster.hosts.find((host) => host !== primary) as HostMember;
  await spoil(here, primary, 2);
  await here.must(insert(3));
  await here.until("the secondary to follow from a checkpoint behind it", async () => {
    const status = await here.cluster.statusOf(other);
    return status?.role === "secondary" && (status.checkpoint?.position ?? 0) > 0;
  });
  await here.killPrimary();
  expect(await here.must(read)).toEqual([1, 2, 3]);
});
