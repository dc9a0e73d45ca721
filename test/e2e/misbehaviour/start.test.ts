/** An application that does not come up, for a reason that passes or one that a person can read. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { livingOf } from "../../../harness/process-table.ts";
import { Stage } from "./stage.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(120_000);

let stage: Stage;
afterEach(() => stage.close());

test("a promotion whose application finds its port taken once starts it again on the same host, in the same epoch", async () => {
  stage = await Stage.open();
  const [first, epoch] = [await stage.primary(), await stage.epoch()];
  stage.mark("port-taken");
  first.process?.signal("SIGKILL");
  await stage.until("another primary", async () => {
    const primary = await stage.cluster.primary();
    return primary !== undefined && primary.host !== first;
  });
  expect((await stage.ask("GET", "/ping")).status).toBe(200);
  expect(stage.isMarked("port-taken")).toBe(false);
  expect(await stage.epoch()).toBe(epoch + 1);
  const living = stage.cluster.hosts.filter((host) => host !== first);
  expect((await Promise.all(living.map((host) => stage.statusOf(host)))).map((status) => status?.role).sort()).toEqual([
    "primary",
    "secondary",
  ]);
});

test("a dependency that is away while the application restarts costs no host: the service comes back by itself with it", async () => {
  stage = await Stage.open();
  const first = await stage.primary();
  stage.mark("away");
  process.kill(stage.applicationOf(first).pid, "SIGKILL");
  await stage.until(
    "two hosts to have tried",
    () =>
      new Set(
        stage
          .happened()
          .filter(({ event }) => event === "refused")
          .map(({ data }) => data),
      ).size >= 2,
  );
  await stage.until("a host to say when it tries again", async () =>
    (await Promise.all(stage.cluster.hosts.map((host) => stage.statusOf(host)))).some(
      (status) => (status?.retry ?? null) !== null,
    ),
  );
  await stage.expectNoHostLost();
  stage.unmark("away");
  await stage.until("the service to be back", async () => (await stage.ask("GET", "/ping")).status === 200, 60_000);
  await stage.whole();
});

test("an application that listens on ::1 only is found there", async () => {
  stage = await Stage.open({ manners: ["on=::1"] });
  expect((await stage.ask("POST", "/rows")).status).toBe(201);
});

test("an application that listens where no host looks is told so: what was tried, and what listens where", async () => {
  stage = await Stage.prepare({ manners: ["on=127.0.0.9"], hosts: 1, hostExtra: 'timeout = "2s"\n' });
  await stage.startAll();
  const [host] = stage.cluster.hosts;
  if (host === undefined) throw new Error("there is no host");
  await stage.until("the host to say it", async () => {
    const status = await stage.statusOf(host);
    const said = `${status?.reason ?? ""} ${status?.retry?.reason ?? ""} ${status?.warnings.join(" ") ?? ""} ${stage.logOf(host)}`;
    return ["127.0.0.9", "127.0.0.1", "::1"].every((address) => said.includes(address));
  });
});

test("an application that goes into the background is told to stay in the foreground, and nothing of it is left", async () => {
  stage = await Stage.prepare({ manners: ["daemon"], hosts: 1 });
  await stage.startAll();
  const [host] = stage.cluster.hosts;
  if (host === undefined) throw new Error("there is no host");
  await stage.until("the host to say it", async () => {
    const status = await stage.statusOf(host);
    return /foreground/.test(
      `${status?.reason ?? ""} ${status?.retry?.reason ?? ""} ${status?.warnings.join(" ") ?? ""}`,
    );
  });
  await stage.until("the daemons to be gone", () => livingOf(stage.everStarted()).length === 0);
  host.process?.signal("SIGTERM");
  await host.process?.ended;
  expect(livingOf(stage.everStarted())).toEqual([]);
});
