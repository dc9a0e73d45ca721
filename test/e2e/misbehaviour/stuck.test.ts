/**
 * An application that hangs while its host is well: told from one that is busy, its evidence kept, started again where
 * it is.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { Beside, Stage, type StageOptions } from "./stage.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(120_000);

const impatient: StageOptions = {
  hostExtra: '\n[host.application.health]\npath = "/health"\ninterval = "200ms"\ntimeout = "300ms"\npatience = "1s"\n',
};

let stage: Stage;
afterEach(() => stage.close());

/** Until it is served by another process on the same host, in the same epoch; returns what the log said meanwhile. */
async function expectRestartedHere(begin: () => Promise<void> | void): Promise<string> {
  const primary = await stage.primary();
  const epoch = await stage.epoch();
  const { pid } = stage.applicationOf(primary);
  await begin();
  await stage.until("the application to be started again", () => stage.applicationOf(primary).pid !== pid);
  expect((await stage.ask("GET", "/ping")).status).toBe(200);
  expect([(await stage.primary()).id, await stage.epoch()]).toEqual([primary.id, epoch]);
  await stage.expectNoHostLost();
  return stage.logOf(primary);
}

test("an application stopped with SIGSTOP is killed and started again on its host, the clients are answered, and the evidence is in the log", async () => {
  stage = await Stage.open(impatient);
  const beside = new Beside(stage);
  await stage.until("clients beside", () => beside.answered > 50);
  const { pid } = stage.applicationOf(await stage.primary());
  const log = await expectRestartedHere(() => void process.kill(pid, "SIGSTOP"));
  const after = beside.answered;
  await stage.until("clients to be answered afterwards", () => beside.answered > after + 50);
  await beside.stop();
  expect(beside.failures).toEqual([]);
  expect(log).toMatch(/stuck/);
  expect(log).toContain(`${pid}`);
  expect(log).toMatch(/GET \/ping|POST \/rows/);
  const { events } = await stage.service();
  expect(events.map(({ what, detail }) => `${what} ${detail}`).join("\n")).toMatch(/stuck/);
});

test("a deadlock is found and mended, and what caused it is named without its query", async () => {
  stage = await Stage.open(impatient);
  const asked = { answer: undefined as Promise<number> | undefined };
  const log = await expectRestartedHere(() => {
    asked.answer = stage.ask("POST", "/deadlock?secret=1").then(({ status }) => status);
  });
  expect(log).toContain("POST /deadlock");
  expect(log).not.toContain("secret=1");
  expect(await asked.answer).toBe(502);
  expect(stage.executions("/deadlock?secret=1")).toBe(1);
});

test("an application that closed its port while its process lives on is started again", async () => {
  stage = await Stage.open(impatient);
  await expectRestartedHere(async () => void (await stage.ask("GET", "/close-port")));
  expect(stage.executions("/close-port")).toBe(1);
});

test("status says that the application is stuck while it is, and not that all is well", async () => {
  stage = await Stage.open({ hostExtra: impatient.hostExtra?.replace("1s", "60s") ?? "" });
  const primary = await stage.primary();
  process.kill(stage.applicationOf(primary).pid, "SIGSTOP");
  await stage.until(
    "the host to say it",
    async () => (await stage.statusOf(primary))?.application?.state === "failing",
  );
});

test("one that computes for longer than the patience is not stuck, and neither is one whose answers wait for it", async () => {
  stage = await Stage.open(impatient);
  const answers = await Promise.all([
    stage.ask("GET", "/burn?s=5"),
    stage.ask("GET", "/ping"),
    stage.ask("GET", "/burn?s=3"),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(stage.starts).toBe(1);
  expect([stage.executions("/burn?s=5"), stage.executions("/burn?s=3")]).toEqual([1, 1]);
});

test("at default settings one that sleeps for five seconds with its only thread is not stuck", async () => {
  stage = await Stage.open();
  // One, or two if the gateway asked the first primary before it listened, and took that for its end.
  const { starts } = stage;
  const answers = await Promise.all([stage.ask("GET", "/sleep?s=5"), stage.ask("GET", "/ping")]);
  expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  expect([stage.starts, stage.executions("/sleep?s=5")]).toEqual([starts, 1]);
});

test("one that is stuck again within the window gives the service to another host", async () => {
  stage = await Stage.open(impatient);
  const first = await stage.primary();
  await expectRestartedHere(() => void process.kill(stage.applicationOf(first).pid, "SIGSTOP"));
  process.kill(stage.applicationOf(first).pid, "SIGSTOP");
  await stage.until("another primary", async () => {
    const primary = await stage.cluster.primary();
    return primary !== undefined && primary.host !== first;
  });
  expect((await stage.ask("GET", "/ping")).status).toBe(200);
  await stage.expectNoHostLost();
});
