/**
 * A source over the folder of the first argument, for runtimes.test.ts: for each line on stdin one line of JSON with
 * what a collection found.
 */
import { createInterface } from "node:readline";
import { allRules } from "../../../src/core/rules.ts";
import { Source } from "../../../src/capture/source.ts";
import { systemClock } from "../../../src/runtime/clock.ts";

const [root = ""] = process.argv.slice(2);
const warnings: string[] = [];
const source = await Source.open({
  root,
  databases: ["**/*.db"],
  clock: systemClock,
  rules: allRules,
  onWarning: (text) => warnings.push(text),
});
const say = (value: object): void => void process.stdout.write(`${JSON.stringify(value)}\n`);

say({ names: source.names().sort(), warnings });
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "close") break;
  const ahead = source.isAhead();
  const pages: string[] = [];
  // A suspicion, which only holds responses, needs a look of its own (file-watch.ts).
  do {
    const batch = await source.collect();
    for (const changes of [...(batch?.parts() ?? [])].flat()) pages.push(`${changes.name} ${changes.pages.length}`);
    batch?.done();
    await source.tick();
  } while (source.isAhead());
  say({ ahead, pages });
}
say(await source.close());
process.exit(0);
