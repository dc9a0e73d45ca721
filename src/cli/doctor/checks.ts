/** Judges a machine: one finding for each fault, with what was found, what is accepted and what to do. Pure. */
import type { Machine, Unsuitability } from "./machine.ts";

export const checkNames = [
  "clock",
  "mount",
  "modes",
  "ports",
  "secret",
  "descriptors",
  "disk",
  "vault",
  "addresses",
] as const;
export type CheckName = (typeof checkNames)[number];
/** `versions`: only of a cluster (cluster.ts). */
export type FaultName = CheckName | "versions";

export interface Fault {
  readonly check: FaultName;
  readonly found: string;
  readonly accepted: string;
  readonly advice: string;
}

/** Certificates, tokens and events of several gateways need roughly one time. */
const clockAheadMsMax = 2_000;
const freeShareMin = 0.05;
/** A put may take this part of a lease: a primary puts every half lease, and one may be slow. */
const vaultLeaseShare = 0.25;

export function findFaults(machine: Machine): readonly Fault[] {
  return checkNames.flatMap((check) => checks[check](machine).map((fault) => ({ check, ...fault })));
}

type Check = (machine: Machine) => readonly Omit<Fault, "check">[];

const checks: Readonly<Record<CheckName, Check>> = {
  clock: ({ clocks }) =>
    clocks
      .filter(({ aheadMs }) => Math.abs(aheadMs) > clockAheadMsMax)
      .map(({ of, aheadMs }) => ({
        found: `the clock of ${of} is ${seconds(aheadMs)} ${aheadMs > 0 ? "ahead of" : "behind"} this machine's`,
        accepted: `at most ${seconds(clockAheadMsMax)} apart`,
        advice: "let chrony or systemd-timesyncd set both (`timedatectl`)",
      })),
  mount: ({ folders }) =>
    folders.flatMap(({ key, path, state, unsuitable }) => {
      if (state === "missing")
        return [
          {
            found: `${key}: there is no folder ${path}`,
            accepted: "an existing folder, with its file system mounted",
            advice: "mount it, or correct the path",
          },
        ];
      return unsuitable === undefined ? [] : [{ ...textOf(unsuitable), found: `${key}: ${unsuitable.found}` }];
    }),
  modes: ({ folders }) =>
    folders
      .filter(({ state }) => state === "read-only")
      .map(({ key, path }) => ({
        found: `${key}: this user cannot write to ${path}`,
        accepted: "a folder that the user of the service can write to",
        advice: "chown it to that user, and run this command as that user",
      })),
  ports: ({ listeners }) =>
    listeners.flatMap(({ key, address, state }) => {
      const why = listenerFaults[state];
      return why === undefined ? [] : [{ ...why, found: `${key}: ${address} ${why.found}` }];
    }),
  secret: ({ secretFiles }) =>
    secretFiles.flatMap(({ path, mode }) => {
      if (mode === undefined)
        return [
          {
            found: `${path} cannot be read`,
            accepted: "a file that the user of the service can read",
            advice: "copy it from another machine of the cluster, and chown it to that user",
          },
        ];
      if ((mode & 0o077) === 0) return [];
      return [
        {
          found: `${path} has mode ${mode.toString(8).padStart(4, "0")}: other users of this machine can read or change it`,
          accepted: "mode 0600 or 0400",
          advice: `chmod 600 ${path}`,
        },
      ];
    }),
  descriptors: ({ descriptors }) => (descriptors === undefined ? [] : [textOf(descriptors)]),
  disk: ({ disks }) =>
    disks
      .filter(({ freeBytes, totalBytes }) => freeBytes < totalBytes * freeShareMin)
      .map(({ path, freeBytes, totalBytes }) => ({
        found: `the file system of ${path} has ${mebibytes(freeBytes)} of ${mebibytes(totalBytes)} left`,
        accepted: `at least ${freeShareMin * 100} %`,
        advice: "free space: set-aside folders, old logs; in a vault only with `stead vault gc`",
      })),
  vault: ({ vault }) => {
    if (vault.kind === "failed")
      return [
        {
          found: `the vault cannot be written: ${vault.why}`,
          accepted: "a vault that this user can write to",
          advice: "mend the mount, the server or the bucket, or its permissions",
        },
      ];
    if (vault.kind === "none" || vault.ms <= vault.leaseMs * vaultLeaseShare) return [];
    return [
      {
        found: `a put into the vault takes ${Math.round(vault.ms)} ms, with a lease of ${vault.leaseMs} ms`,
        accepted: `at most ${Math.round(vault.leaseMs * vaultLeaseShare)} ms, a quarter of the lease`,
        advice: `a faster vault, or \`lease = "${Math.ceil(vault.ms / vaultLeaseShare)}ms"\` in [host] of every host`,
      },
    ];
  },
  addresses: ({ advertised }) =>
    advertised
      .filter(({ isReachableFromOthers }) => !isReachableFromOthers)
      .map(({ key, url }) => ({
        found: `${key} is ${url}, which on another machine means that machine`,
        accepted: "an address at which the other machines of the cluster reach this one",
        advice: `set ${key} to this machine's address in the private network`,
      })),
};

const listenerFaults: Readonly<Partial<Record<string, Omit<Fault, "check">>>> = {
  taken: {
    found: "is in use",
    accepted: "a free port, before stead starts",
    advice:
      "nothing if stead itself runs here (`ss -ltnp` names the process); else stop that process, or choose another port",
  },
  "not-here": {
    found: "is no address of this machine",
    accepted: "an address of this machine, or 0.0.0.0",
    advice: "correct it (`ip addr` lists them)",
  },
  "not-permitted": {
    found: "is not permitted to this user",
    accepted: "a port from 1024 on, or the capability CAP_NET_BIND_SERVICE",
    advice: "choose another port, or set AmbientCapabilities= in the unit",
  },
};

const textOf = ({ found, accepted, advice }: Unsuitability): Unsuitability => ({ found, accepted, advice });
const seconds = (ms: number): string => `${Math.round(Math.abs(ms) / 100) / 10} s`;
const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;
