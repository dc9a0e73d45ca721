/** Power failure of everything: all processes of a cluster under load are killed at once and started again. */
import { afterEach, setDefaultTimeout, test } from "bun:test";
import { demoApplication } from "../../harness/applications.ts";
import { descendantsOf, livingOf } from "../../harness/process-table.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { type Bench, never, openBench } from "./harness.ts";
import { InterruptedLoad } from "./interrupted-load.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(60_000);

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

    const interrupted = new InterruptedLoad({ cluster, application, workers: 8, requestsPerSecond: 300 });
    const load = await interrupted.begin(3);
    await interrupted.acknowledged(200);

    const families = members.flatMap((member) => descendantsOf(member.process?.pid ?? 0));
    for (const member of members) member.process?.signal("SIGKILL");
    await Promise.all(members.map((member) => member.process?.ended));
    await load.close();
    while (livingOf(families).length > 0) await systemClock.sleep(5);

    await Promise.all(members.map((member) => cluster.start(member)));
    await cluster.whenWhole(wholeWithinMs, never);
    const after = await interrupted.begin(4);
    await interrupted.acknowledged(100);
    await interrupted.expectNothingLost(after);
  }, 90_000);
}
