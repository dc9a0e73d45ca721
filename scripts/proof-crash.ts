/**
 * `bun run proof:crash`: twenty clients repeat a request that ends the application, beside others with 100 requests per
 * second, on three hosts and one gateway with default settings. `--seconds N` (60), `--clients N` (20).
 *
 * A good run has two endings, and one more for each trial that the pauses of 10 s, 20 s, 40 s, … allow; no host is
 * lost, there is no failover, and every other request is answered. Prints the results; exit code 0 when the run is
 * good, 1 otherwise.
 */
import { systemClock } from "../src/runtime/clock.ts";
import { Beside, Stage } from "../test/e2e/misbehaviour/stage.ts";
import { numberWithin, orEnd, readOptions, wholeNumber } from "./lib/options.ts";

const firstPauseSeconds = 10;
const askEveryMs = 50;

const values = readOptions({
  seconds: { type: "string", default: "60" },
  clients: { type: "string", default: "20" },
});
const seconds = orEnd(() => numberWithin("seconds", values.seconds, 1, 3600));
const clients = orEnd(() => wholeNumber("clients", values.clients, 1, 100));

const stage = await Stage.open();
try {
  await prove();
} finally {
  await stage.close();
}

async function prove(): Promise<void> {
  const epoch = await stage.epoch();
  const beside = new Beside(stage);
  const until = systemClock.now() + seconds * 1000;
  const answers = new Map<number, number>();
  const crasher = async (): Promise<void> => {
    while (systemClock.now() < until) {
      const { status } = await stage.ask("GET", "/crash");
      answers.set(status, (answers.get(status) ?? 0) + 1);
      await systemClock.sleep(askEveryMs);
    }
  };
  await Promise.all(Array.from({ length: clients }, crasher));
  await beside.stop();
  const endings = stage.executions("/crash");
  const failovers = (await stage.epoch()) - epoch;
  const lost = await stage.expectNoHostLost().then(
    () => "no host lost",
    (error: unknown) => String(error),
  );
  const allowed = 2 + trialsWithin(seconds);
  const good = endings <= allowed && failovers === 0 && lost === "no host lost" && beside.failures.length === 0;
  for (const failure of beside.failures.slice(0, 10)) console.log(`  WRONG ${failure}`);
  const said = [...answers].map(([status, count]) => `${count} with ${status}`).join(", ");
  console.log(
    `${good ? "good" : "NOT GOOD"}: ${endings} endings (at most ${allowed}), ${failovers} failovers, ${lost}; crashing requests answered: ${said}`,
  );
  console.log(
    `  others: ${beside.answered} answered, ${beside.unknown} writes of unknown outcome, ${beside.failures.length} not answered`,
  );
  process.exitCode = good ? 0 : 1;
}

function trialsWithin(allSeconds: number): number {
  let trials = 0;
  for (let [at, pause] = [firstPauseSeconds, firstPauseSeconds]; at <= allSeconds; trials += 1) {
    pause *= 2;
    at += pause;
  }
  return trials;
}
