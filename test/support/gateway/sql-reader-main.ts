/** The SQL reader process, as the binary's hidden command starts it. */
import { runSqlReader } from "../../../src/gateway/state/sql-reader.ts";

await runSqlReader(process.argv[2] ?? "");
