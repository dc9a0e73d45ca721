/** The client of client.ts on a machine of a network. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { ClientReport } from "./client.ts";
import type { Lan } from "./lan.ts";

export class LanClient {
  readonly #child: ChildProcess;
  #acknowledged = 0;
  #out = "";
  #wake = (): void => undefined;

  constructor(lan: Lan, machine: string, base: string) {
    const program = [process.execPath, join(import.meta.dirname, "client.ts"), base];
    this.#child = spawn("ip", ["netns", "exec", lan.namespaceOf(machine), ...program], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child.stdout?.on("data", (chunk: Buffer) => (this.#out += chunk.toString()));
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.#acknowledged = Number(chunk.toString().trim().split("\n").at(-1));
      this.#wake();
    });
  }

  /** Resolves when so many more notes were acknowledged. */
  async whenMore(count: number): Promise<void> {
    const wanted = this.#acknowledged + count;
    while (this.#acknowledged < wanted)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }

  /** Ends it. */
  async report(): Promise<ClientReport> {
    const ended = once(this.#child, "close");
    this.#child.stdin?.end();
    await ended;
    return JSON.parse(this.#out) as ClientReport;
  }
}
