/**
 * The program's start: the process's streams, signals and arguments are handed to the CLI. Wiring only. What follows
 * the first call is loaded after it, because that may start the process again.
 */
import { keepFreedMemory } from "./runtime/kept-memory.ts";

keepFreedMemory();
const { processContext } = await import("./cli/process-context.ts");
const { runCli } = await import("./cli/app.ts");

const { context, exit: finish } = processContext();
await finish(await runCli(process.argv.slice(2), context));
