/** The data plane under another runtime than Bun, as a process (runtime-child.ts). */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { bundleFor, type Runtime } from "../../../scripts/proxy-bench/runtimes.ts";

export interface RuntimeProcess {
  readonly child: ChildProcess;
  /** Plain, TLS, the app behind TLS, and that behind the PROXY protocol. */
  readonly ports: readonly number[];
}

/** `folder`: for the bundle. */
export async function startRuntime(runtime: Runtime, folder: string, backendPort: number): Promise<RuntimeProcess> {
  const [program, ...leading] = runtime.command;
  const script = await bundleFor(join(import.meta.dirname, "runtime-child.ts"), folder);
  const child = spawn(program, [...leading, script, String(backendPort)], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return { child, ports: line.toString().trim().split(" ").map(Number) };
}
