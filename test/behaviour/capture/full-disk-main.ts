/**
 * `bun full-disk-main.ts FOLDER`: captures a commit that the database file has no room for, closes, and says what it
 * warned of.
 */
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { Source } from "../../../src/capture/source.ts";
import { allRules } from "../../../src/core/rules.ts";
import { systemClock } from "../../../src/runtime/clock.ts";

const root = process.argv[2] ?? "";
const warnings: string[] = [];
const source = await Source.open({
  root,
  databases: ["app.db"],
  clock: systemClock,
  rules: allRules,
  onWarning: (text) => warnings.push(text),
});
const application = new DatabaseSync(join(root, "app.db"));
application.exec("PRAGMA wal_autocheckpoint=0; INSERT INTO t VALUES (zeroblob(40000))");
const batch = await source.collect();
batch?.done();
application.close();
const { ahead } = await source.close();
console.log(JSON.stringify({ captured: batch !== undefined, ahead, warnings }));
