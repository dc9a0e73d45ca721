/**
 * Faults of a chaos run in the application: it hangs, deadlocks, ends on a request, does not start, finds its port
 * taken, starts processes that leave its group; and its data folder turns read-only. The faulty behaviour is added from
 * outside (chaos-manners/); the examples do not contain it.
 */
import { spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DemoApplication } from "../harness/applications.ts";
import type { HostMember } from "../harness/cluster.ts";
import type { SeededRandom } from "../harness/seeded-random.ts";
import { HttpCaller } from "../harness/http-call.ts";
import { commandOf, descendantsOf } from "../harness/process-table.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { type ChaosWorld, drawGateway, drawPrimary, type Fault, type Maker, nothing, within } from "./chaos-world.ts";

/** The application with ill manners on demand; its language tells which. */
export function withIllManners(application: DemoApplication): DemoApplication {
  const [program, source] = application.command;
  if (source === undefined) throw new Error(`${program} is started without a source file`);
  const manners = (name: string): string => join(import.meta.dirname, "chaos-manners", name);
  const command: [string, ...string[]] = source.endsWith(".py")
    ? [program, manners("ledger.py"), source]
    : [program, "--preload", manners("notes.ts"), source];
  return { ...application, command };
}

type Mark = "away" | "port-taken" | "escape";
const askWithinMs = 5_000;
/** How often one client among many sends the request that ends the application. */
const poisonEveryMs = 150;

const markFile = (host: HostMember, mark: Mark): string => join(host.folder, "marks", mark);

function setMark(host: HostMember, mark: Mark): void {
  mkdirSync(join(host.folder, "marks"), { recursive: true });
  writeFileSync(markFile(host, mark), "");
}

const clearMark = (host: HostMember, mark: Mark): void => rmSync(markFile(host, mark), { force: true });

/** Processes of the application itself, without the shells that watch it. */
const applicationOf = (host: HostMember): number[] =>
  descendantsOf(host.process?.pid ?? 0)
    .map(({ pid }) => pid)
    .filter((pid) => commandOf(pid)?.includes("stead-watcher") === false);

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** Sends a request through a gateway, as any client does, and ignores the outcome. */
async function askFor(url: string, path: string): Promise<void> {
  const caller = new HttpCaller(1);
  try {
    await caller.call({ method: "GET", url: url + path, timeoutMs: askWithinMs }).catch(() => undefined);
  } finally {
    caller.close();
  }
}

async function askAgainAndAgain(url: string, path: string, isOver: AbortSignal): Promise<void> {
  while (!isOver.aborted) {
    await askFor(url, path);
    await systemClock.sleep(poisonEveryMs, isOver).catch(() => undefined);
  }
}

/** The application is made to start again with the mark in place. */
function atNextStart(host: HostMember, mark: Mark, lastsMs: number): Fault {
  return {
    kind: `application-${mark}`,
    on: host.id,
    lastsMs,
    takes: [host.id],
    begin: () => {
      setMark(host, mark);
      signal(applicationOf(host), "SIGKILL");
      return Promise.resolve();
    },
    mend: () => Promise.resolve(clearMark(host, mark)),
  };
}

/** In the mount namespace of the host, over its data folder. */
function inMountsOf(host: HostMember, script: string): Promise<void> {
  const child = spawn(
    "nsenter",
    ["-t", String(host.process?.pid ?? 0), "-m", "sh", "-c", script, "sh", join(host.folder, "data")],
    { stdio: "ignore" },
  );
  return new Promise((resolve) => {
    child.once("error", () => resolve());
    child.once("close", () => resolve());
  });
}

const withPrimary = (
  weight: number,
  make: (host: HostMember, world: ChaosWorld, dice: SeededRandom) => Fault | undefined,
): { readonly weight: number; readonly make: Maker } => ({
  weight,
  make: async (world, dice) => {
    const host = await drawPrimary(world);
    return host && make(host, world, dice);
  },
});

const poison = (
  kind: string,
  path: string,
  asks: "once" | "again",
): { readonly weight: number; readonly make: Maker } =>
  withPrimary(1, (_, world, dice) => {
    const gateway = drawGateway(world, dice);
    if (gateway === undefined) return undefined;
    const over = new AbortController();
    let asking: Promise<void> = Promise.resolve();
    const begin = (): Promise<void> => {
      asking = asks === "once" ? askFor(gateway.url, path) : askAgainAndAgain(gateway.url, path, over.signal);
      return Promise.resolve();
    };
    const mend = (): Promise<void> => {
      over.abort();
      return asking;
    };
    return { kind, on: gateway.id, lastsMs: within(dice, 500, 5_000), takes: [], begin, mend };
  });

export const applicationFaults: Readonly<Record<string, { readonly weight: number; readonly make: Maker }>> = {
  "stop-application": withPrimary(2, (host, _, dice) => {
    const stopped = applicationOf(host);
    if (stopped.length === 0) return undefined;
    const begin = (): Promise<void> => Promise.resolve(signal(stopped, "SIGSTOP"));
    // The processes that were killed for it are gone, and a new application has other numbers.
    const mend = (): Promise<void> =>
      Promise.resolve(
        signal(
          stopped.filter((pid) => applicationOf(host).includes(pid)),
          "SIGCONT",
        ),
      );
    return { kind: "stop-application", on: host.id, lastsMs: within(dice, 300, 5_000), takes: [host.id], begin, mend };
  }),
  "deadlock-application": poison("deadlock-application", "/chaos/deadlock", "once"),
  "poisonous-request": poison("poisonous-request", "/chaos/exit", "again"),
  "application-away": withPrimary(1, (host, _, dice) => atNextStart(host, "away", within(dice, 500, 6_000))),
  "application-port-taken": withPrimary(1, (host) => atNextStart(host, "port-taken", 1_000)),
  "application-escape": withPrimary(1, (host, _, dice) => atNextStart(host, "escape", within(dice, 500, 3_000))),
  "read-only-data": withPrimary(1, (host, world, dice) => {
    if (world.network === undefined) return undefined;
    const begin = (): Promise<void> => inMountsOf(host, 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"');
    const mend = (): Promise<void> =>
      host.process?.end === undefined ? inMountsOf(host, 'umount -l "$1"') : nothing();
    return { kind: "read-only-data", on: host.id, lastsMs: within(dice, 500, 12_000), takes: [host.id], begin, mend };
  }),
};
