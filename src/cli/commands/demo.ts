/** `stead demo`: a whole cluster on this machine, deliberate failures, and a verdict. `stead demo-app`: its parts. */
import { buildCommand } from "@stricli/core";
import { parseDuration, durationAccepted } from "../../config/units.ts";
import { assertHostPlatform } from "../../host/host-platform.ts";
import type { VerdictObject } from "../../demo/verdict.ts";
import { systemClock } from "../../runtime/clock.ts";
import { systemRandom } from "../../runtime/random.ts";
import type { CliContext } from "../output/context.ts";
import { exitCodes } from "../output/exit-codes.ts";

interface DemoFlags {
  readonly app: "notes" | "ledger";
  readonly kills: number;
  readonly gateways: number;
  readonly vault: "shared" | "serve";
  readonly tls: boolean;
  readonly duration: number;
  readonly seed: number | undefined;
  readonly keep: boolean;
  readonly json: boolean;
}

const killsMax = 1000;
const gatewaysMax = 7;

export const demoCommand = buildCommand<DemoFlags, [], CliContext>({
  docs: {
    brief: "Show failovers on this machine: a whole cluster under load, its primary killed, hung and switched",
    fullDescription: [
      "Starts a gateway, a primary and two secondaries with an example application and a fresh vault in a temporary folder,",
      "drives reads and writes through the gateway, kills the primary with SIGKILL, switches over once, suspends a primary with",
      "SIGSTOP and resumes it, then reads everything back. Exits with 0 if no acknowledged write is missing, no replaced",
      "primary acknowledged anything, no request failed and the history is consistent; with 9 otherwise.",
      "",
      "With --gateways N, N gateways are peers and clients spread over all of them. At every event a gateway is killed and",
      "restarted; once it is the acting gateway, in the middle of a failover. Finally one comes back with an empty database,",
      "and every gateway must have the same rows in every view. A write that a killed gateway cuts off counts as unknown.",
      "",
      "With --json the last line of standard output is one object; progress goes to standard error. All times are in",
      "milliseconds: failovers[] with kind, detect_ms, agree_ms, claim_ms, lease_ms, catchup_ms, start_ms, route_ms (as the",
      "gateway recorded them) and gap_ms (the longest time in which no client was answered); requests with ok, held, replayed,",
      "unknown (in flight at a kill and not idempotent) and failed; writes with acknowledged, missing and phantom (never",
      "acknowledged, answered unknown, but present); zombie_acknowledged; invariant_ok; gateways_converge_ms (until all gateways",
      "had the same rows after the last came back; null: never; 0 with one gateway).",
      "",
      "EXAMPLES",
      "  stead demo",
      "  stead demo --app ledger --kills 10 --duration 60s --seed 7 --json",
      "  stead demo --gateways 3",
      "  stead demo --vault serve",
      "  stead demo --gateways 3 --tls",
      "  stead demo --keep",
    ].join("\n"),
  },
  parameters: {
    flags: {
      app: {
        kind: "enum",
        values: ["notes", "ledger"],
        default: "notes",
        brief: "Example application (ledger needs python3)",
      },
      kills: {
        kind: "parsed",
        parse: wholeFromTo(0, killsMax),
        default: "3",
        placeholder: "number",
        brief: "How often the primary is killed",
      },
      gateways: {
        kind: "parsed",
        parse: wholeFromTo(1, gatewaysMax),
        default: "1",
        placeholder: "number",
        brief: "Number of gateways; several are peers, and are killed and restarted meanwhile",
      },
      vault: {
        kind: "enum",
        values: ["shared", "serve"],
        default: "shared",
        brief: "How hosts reach the vault: a shared folder, or a vault server",
      },
      tls: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Mutual TLS between gateways and hosts, also for clients' requests, and an encrypted vault",
      },
      duration: {
        kind: "parsed",
        parse: duration,
        default: "25s",
        placeholder: "time",
        brief: "Minimum duration of the load; events are spread over it",
      },
      seed: {
        kind: "parsed",
        parse: wholeFromTo(0, 2 ** 32 - 1),
        optional: true,
        placeholder: "number",
        brief: "Determines the order of events and the load (default: random)",
      },
      keep: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Leave the cluster running until Ctrl-C, and print how to inspect it",
      },
      json: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Print the verdict as one object, the last line of standard output",
      },
    },
  },
  async func(flags) {
    assertHostPlatform("stead demo, which has hosts,");
    const { runDemo } = await import("../../demo/run.ts");
    const { isGood } = await import("../../demo/verdict.ts");
    let verdict: VerdictObject | undefined;
    const seed = flags.seed ?? Math.floor(systemRandom.fraction() * 1_000_000);
    const options = {
      ...flags,
      seed,
      durationMs: flags.duration,
      clock: systemClock,
      stream: flags.json ? this.process.stderr : this.process.stdout,
      signal: this.signal,
    };
    try {
      await runDemo(options, (found) => {
        verdict = found;
        if (flags.json) this.process.stdout.write(`${JSON.stringify(found)}\n`);
      });
    } catch (error) {
      if (!this.signal.aborted) throw error;
    }
    if (verdict === undefined) this.exitWith(exitCodes.interrupted);
    else if (!isGood(verdict)) this.exitWith(exitCodes.verdict);
  },
});

/** Internal: the demo starts its own parts with it, from the binary alone. */
export const demoAppCommand = buildCommand<Record<never, never>, ["notes" | "reaper"], CliContext>({
  docs: { brief: "Run a part of the demo (used by `stead demo`)" },
  parameters: {
    positional: { kind: "tuple", parameters: [{ brief: "notes or reaper", placeholder: "part", parse: partName }] },
  },
  async func(_flags, part) {
    if (part === "reaper") {
      await (await import("../../../harness/reaper.ts")).runReaper();
      return;
    }
    await import("../../../examples/notes/main.ts");
    await new Promise(() => undefined); // The application ends the process itself.
  },
});

function partName(text: string): "notes" | "reaper" {
  if (text === "notes" || text === "reaper") return text;
  throw new Error(`expected notes or reaper, found ${JSON.stringify(text)}`);
}

function wholeFromTo(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new Error(`expected a whole number from ${least} to ${most}, found ${JSON.stringify(text)}`);
    return value;
  };
}

function duration(text: string): number {
  const result = parseDuration(text);
  if (result.kind === "ok") return result.value;
  throw new Error(`expected ${durationAccepted}, found ${JSON.stringify(text)}`);
}
