/**
 * Whether a refused connection is evidence: that no process listens at an address, or only that this process could not
 * connect.
 *
 * Bun reports a connection for which it got no descriptor (EMFILE, ENFILE) as ECONNREFUSED, exactly as if the other
 * side had refused it. Decisions rest on refusals: two of them make a host down, one makes a predecessor gone. A
 * gateway that a flood of connections has left without descriptors would depose a healthy primary. A refusal therefore
 * counts only if a second attempt is refused too, made while descriptors were certainly free: some are opened and
 * closed right before it, and Bun makes the socket of a numeric address within the call. One would break this with a
 * thread of this process that takes all of them between the two system calls.
 *
 * Nothing is sent to the other side. Node and Deno report the system's own code, which is believed.
 */
import { closeSync, openSync } from "node:fs";
import { lookup } from "node:dns";
import { isIP } from "node:net";

/** Codes of a call that this machine could not make: they say nothing about the other side. */
const shortages: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EADDRNOTAVAIL"]);

export const isOwnShortage = (code: string | undefined): boolean => code !== undefined && shortages.has(code);

/**
 * `refused`: no process listens. `reached`: one does. `short`: this machine lacks descriptors, ports or memory.
 * `unproven`: another failure.
 */
export type RefusalVerdict = "refused" | "reached" | "short" | "unproven";

const spareDescriptors = 4;
const lookMsMax = 500;

/** True if this process can open descriptors now. */
export function hasSpareDescriptors(): boolean {
  const held: number[] = [];
  try {
    while (held.length < spareDescriptors) held.push(openSync("/dev/null", "r"));
    return true;
  } catch (error) {
    return !isOwnShortage((error as NodeJS.ErrnoException).code);
  } finally {
    for (const descriptor of held) closeSync(descriptor);
  }
}

/** Examines a connection to `url` that failed with ECONNREFUSED. `done` is called once. */
export function verifyRefusal(url: URL, done: (verdict: RefusalVerdict) => void): void {
  if (!("Bun" in globalThis)) {
    done("refused");
    return;
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = Number(url.port || (url.protocol === "https:" ? 443 : 80));
  if (isIP(host) !== 0) {
    lookAtAll([host], port, done);
    return;
  }
  lookup(host, { all: true }, (error, addresses) => {
    if (error !== null) done(hasSpareDescriptors() ? "unproven" : "short");
    else
      lookAtAll(
        addresses.map(({ address }) => address),
        port,
        done,
      );
  });
}

/** Only a refusal at every address counts. */
function lookAtAll(addresses: readonly string[], port: number, done: (verdict: RefusalVerdict) => void): void {
  const [address, ...others] = addresses;
  if (address === undefined) {
    done("unproven");
    return;
  }
  look(address, port, (verdict) => {
    if (verdict === "refused" && others.length > 0) lookAtAll(others, port, done);
    else done(verdict);
  });
}

function look(hostname: string, port: number, done: (verdict: RefusalVerdict) => void): void {
  let isDone = false;
  const settle = (verdict: RefusalVerdict): void => {
    if (isDone) return;
    isDone = true;
    clearTimeout(timer);
    done(verdict);
  };
  const timer = setTimeout(() => settle("unproven"), lookMsMax);
  if (!hasSpareDescriptors()) {
    settle("short");
    return;
  }
  const socket: Bun.SocketHandler = {
    open(native) {
      settle("reached");
      native.terminate();
    },
    data: () => undefined,
    connectError: (_native, { code }: NodeJS.ErrnoException) =>
      settle(code === "ECONNREFUSED" ? "refused" : isOwnShortage(code) ? "short" : "unproven"),
  };
  // The rejection repeats what `connectError` has reported.
  Bun.connect({ hostname, port, socket }).catch(() => undefined);
}
