/** Describes this machine for a configuration. Changes nothing but one small file, which it removes. */
import { randomUUID } from "node:crypto";
import { accessSync, constants, existsSync, statfsSync, statSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatAddress } from "../../config/address.ts";
import type { Address, Config } from "../../config/types.ts";
import { localDatabases } from "../../capture/local-state.ts";
import { checkDescriptors } from "../../host/machine/descriptor-check.ts";
import { checkFolderPlaces } from "../../host/machine/folder-checks.ts";
import { openFileLimit } from "../../runtime/open-file-limit.ts";
import type { Advertised, Disk, Folder, ListenerState, Machine, VaultPulse } from "./machine.ts";

export async function describeMachine(config: Config): Promise<Machine> {
  const { host } = config;
  const vaultFolder = host?.vaultUrl.startsWith("file:") === true ? fileURLToPath(host.vaultUrl) : undefined;
  const folders = foldersOf(config, vaultFolder);
  const databases =
    host === undefined || !existsSync(host.dataFolder)
      ? []
      : await localDatabases(host.databases, host.databasesExcept).find(host.dataFolder);
  return {
    clocks: config.cluster.tls === undefined ? await clocksOf(config) : [],
    folders,
    secretFiles: secretFilesOf(config),
    listeners: await Promise.all(
      listenersOf(config).map(async ({ key, address }) => ({
        ...{ key, address: formatAddress(address) },
        state: await probeListener(address),
      })),
    ),
    descriptors: host === undefined ? undefined : checkDescriptors(databases.length, openFileLimit()),
    disks: folders.filter(({ state }) => state !== "missing").map(({ path }) => diskOf(path)),
    vault:
      host === undefined || vaultFolder === undefined ? { kind: "none" } : await takePulse(vaultFolder, host.leaseMs),
    advertised: advertisedOf(config),
  };
}

function foldersOf({ host, gateway }: Config, vaultFolder: string | undefined): readonly Folder[] {
  const places = host === undefined ? [] : checkFolderPlaces(host).filter(({ kind }) => kind === "refused");
  const of = (key: string, path: string): Folder => ({
    ...{ key, path, state: stateOf(path) },
    unsuitable: stateOf(path) === "writable" ? places.find((place) => `host.${place.key}` === key) : undefined,
  });
  return [
    // The host makes its data folder if there is none.
    ...(host === undefined ? [] : [of("host.data", nearestFolder(host.dataFolder))]),
    ...(vaultFolder === undefined ? [] : [of("host.vault", vaultFolder)]),
    ...(gateway === undefined ? [] : [of("gateway.database", dirname(gateway.databasePath))]),
  ];
}

const nearestFolder = (path: string): string => (existsSync(path) ? path : nearestFolder(dirname(path)));

function stateOf(path: string): Folder["state"] {
  if (!existsSync(path)) return "missing";
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return "writable";
  } catch {
    return "read-only";
  }
}

function secretFilesOf(config: Config): Machine["secretFiles"] {
  const from = config.cluster.secretFrom;
  const path = from?.kind === "file" || from?.kind === "configuration" ? from.path : undefined;
  return path === undefined ? [] : [{ path, mode: modeOf(path) }];
}

/** Permission bits; undefined: it cannot be read. */
function modeOf(path: string): number | undefined {
  try {
    accessSync(path, constants.R_OK);
    return statSync(path).mode & 0o777;
  } catch {
    return undefined;
  }
}

const askMs = 2_000;

/** By the field Date of other gateways, to a second; one that does not answer says nothing. */
async function clocksOf({ gateway }: Config): Promise<Machine["clocks"]> {
  const asked = await Promise.all(
    (gateway?.peers ?? []).map(async (url) => {
      try {
        const { headers } = await fetch(`${url}/liveness`, { signal: AbortSignal.timeout(askMs) });
        return { of: url, aheadMs: Date.parse(headers.get("date") ?? "") - Date.now() };
      } catch {
        return undefined;
      }
    }),
  );
  return asked
    .filter((clock) => clock !== undefined && Number.isFinite(clock.aheadMs))
    .filter((clock) => clock !== undefined);
}

const listenersOf = ({ gateway, host }: Config): readonly { readonly key: string; readonly address: Address }[] => [
  ...(gateway === undefined
    ? []
    : [
        { key: "gateway.listen", address: gateway.listen },
        { key: "gateway.admin", address: gateway.adminListen },
      ]),
  ...(host === undefined
    ? []
    : [
        { key: "host.control", address: host.controlListen },
        { key: "host.listen", address: host.dataListen },
      ]),
];

const listenerStates: Readonly<Partial<Record<string, ListenerState["state"]>>> = {
  EADDRINUSE: "taken",
  EADDRNOTAVAIL: "not-here",
  EACCES: "not-permitted",
};

/** Listens there for a moment. */
function probeListener({ host, port }: Address): Promise<ListenerState["state"]> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      const state = listenerStates[error.code ?? ""];
      if (state === undefined) reject(error);
      else resolve(state);
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve("free")));
  });
}

function diskOf(path: string): Disk {
  const { bavail, blocks, bsize } = statfsSync(statSync(path).isDirectory() ? path : dirname(path));
  return { path, freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}

const pulses = 5;

/** Writes and syncs a small file, as a put does, and takes the second slowest: one may meet a busy disk. */
async function takePulse(folder: string, leaseMs: number): Promise<VaultPulse> {
  const path = join(folder, `.doctor-${randomUUID()}`);
  const took: number[] = [];
  try {
    for (let pulse = 0; pulse < pulses; pulse++) {
      const startedAt = performance.now();
      const file = await open(path, "w");
      try {
        await file.write(`${pulse}`);
        await file.sync();
      } finally {
        await file.close();
      }
      took.push(performance.now() - startedAt);
    }
    await rm(path);
  } catch (error) {
    // A folder that cannot be written may not let it be removed either.
    await rm(path, { force: true }).catch(() => undefined);
    return { kind: "failed", why: (error as NodeJS.ErrnoException).code ?? String(error) };
  }
  return { kind: "written", ms: took.toSorted((a, b) => a - b).at(-2) ?? 0, leaseMs };
}

const isLoopback = (url: string): boolean => /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(new URL(url).hostname);

/** A loopback address is right as long as the configuration names no other machine. */
function advertisedOf({ gateway, host, services }: Config): readonly Advertised[] {
  const others = [
    ...(gateway?.peers ?? []),
    ...services.flatMap(({ hosts }) => hosts.map(({ controlUrl }) => controlUrl)),
  ];
  const hasOthers = others.some((url) => URL.canParse(url) && !isLoopback(url));
  const of = (key: string, url: string): Advertised => ({
    key,
    url,
    isReachableFromOthers: !hasOthers || !isLoopback(url),
  });
  return [
    ...(gateway === undefined ? [] : [of("gateway.advertise_admin", gateway.adminUrl)]),
    ...(host === undefined
      ? []
      : [of("host.advertise_control", host.controlUrl), of("host.advertise_data", host.dataUrl)]),
  ];
}
