/**
 * One of several processes that all put the same keys: prints the keys that it created. Arguments: folder, name, keys.
 */
import { openStore } from "../../../src/vault/store/open-store.ts";

const [folder, name, count] = process.argv.slice(2);
if (folder === undefined || name === undefined || count === undefined)
  throw new Error("usage: race-child <folder> <name> <keys>");
const store = await openStore(folder);
const won: number[] = [];
process.stdout.write("ready\n");
for await (const _ of process.stdin) break; // All start when the parent says so.
for (let index = 0; index < Number(count); index += 1) {
  const outcome = await store.putIfAbsent(`log/${index}`, new TextEncoder().encode(`${name} ${index}`));
  if (outcome.kind === "created") won.push(index);
}
await store.close();
process.stdout.write(`${JSON.stringify(won)}\n`);
process.exit(0);
