/** The program's start: the process's streams, signals and arguments are handed to the CLI. Wiring only. */
import { runCli } from "./cli/app.ts";
import { processContext } from "./cli/process-context.ts";

const { context, exit: finish } = processContext();
await finish(await runCli(process.argv.slice(2), context));
