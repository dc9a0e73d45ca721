/** Power failure of everything: all processes of a cluster under load are killed at once and started again. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { demoApplication } from "../../harness/applications.ts";
import { History } from "../../harness/history.ts";
import { Load } from "../../harness/load.ts";
import { descendantsOf, livingOf } from "../../harness/process-table.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { type Bench, never, openBench } from "./harness.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(60_000);

const workers = 8;
const wholeWithinMs = 30_000;
let bench: Bench;
afterEach(() => bench.close());

const cases = [
  { app: "notes", log: "objects" },
  { app: "ledger", log: "objects" },
  { app: "notes", log: "segments" },
  { app: "ledger", log: "segments" },
] as const;

for (const { app, log } of cases) {
  test(`${app}, its log in ${log}: every process stopped at once with SIGKILL and started again: nothing lost, and service back without a manual step`, async () => {
    bench = openBench();
    const application = demoApplication(app, bench.folder);
    const cluster = await bench.cluster({ application, service: app, hosts: 3, log });
    const members = [...cluster.gateways, ...cluster.hosts];
    await Promise.all(members.map((member) => cluster.start(member)));
    await cluster.whenWhole(wholeWithinMs, never);

    const history = new History();
    const model = application.makeModel("p", workers);
    const begin = async (seed: number): Promise<Load> => {
      const [gateway] = cluster.gateways;
      const load = new Load({
        urls: [gateway?.url ?? ""],
        model,
        history,
        clock: systemClock,
        seed,
        workers,
        requestsPerSecond: 300,
        timeoutMs: 20_000,
      });
      await cluster.until(
        "the gateway",
        wholeWithinMs,
        never,
        () => "no answer",
        () => load.get(application.readPath).catch(() => undefined),
      );
      await load.start();
      return load;
    };
    const load = await begin(3);
    while (history.acknowledgedCount < 200) await systemClock.sleep(5);

    const families = members.flatMap((member) => descendantsOf(member.process?.pid ?? 0));
    for (const member of members) member.process?.signal("SIGKILL");
    await Promise.all(members.map((member) => member.process?.ended));
    await load.close();
    while (livingOf(families).length > 0) await systemClock.sleep(5);
    const before = history.acknowledgedCount;

    await Promise.all(members.map((member) => cluster.start(member)));
    await cluster.whenWhole(wholeWithinMs, never);
    const after = await begin(4);
    while (history.acknowledgedCount < before + 100) await systemClock.sleep(5);
    await after.stop();
    const { entries, broken } = await model.readBack((path) => after.get(path));
    await after.close();

    const result = history.finish(entries);
    expect(history.violations).toEqual([]);
    expect(broken).toBeUndefined();
    expect(result.missing).toBe(0);
    expect(after.failures).toEqual([]);
  }, 90_000);
}
