/**
 * Contradictions between keys that are valid by themselves. Every check names both keys and the way out; none changes a
 * value.
 */
import { isAbsolute, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { collide, formatAddress, isWildcard, urlOf } from "./address.ts";
import { checkBucket, logTimes } from "./bucket.ts";
import { checkDataPlane } from "./data-plane.ts";
import { checkFiles } from "./files.ts";
import type { KeyPath } from "./locate.ts";
import type { Problems } from "./problems.ts";
import { parseS3Url, s3UrlAccepted } from "../core/s3-place.ts";
import { parseVaultUrl } from "../core/vault-address.ts";
import { hostFolders, resolveHealth, vaultUrl } from "./resolve.ts";
import { checkRestoreTest } from "./restore-test.ts";
import type { FileContent } from "./schema.ts";
import type { Address } from "./types.ts";
import { formatDuration } from "./units.ts";
import { checkVaultCopies } from "./vault-copies.ts";

/** The parts of a file that passed the schema. */
export type PartialContent = Partial<FileContent>;

export function findContradictions(file: string, content: PartialContent, problems: Problems): void {
  checkListeners(content, problems);
  if (content.service !== undefined) checkServices(content.service, problems);
  if (content.gateway !== undefined) {
    checkGatewayTimes(content.gateway, problems);
    checkDataPlane(content.gateway, problems);
    checkPeers(content.gateway, problems);
    checkPlainAlone(content.gateway, content.service ?? [], problems);
  }
  if (content.host !== undefined) {
    checkReachable(content.host, problems);
    checkDurability(content.host, problems);
    checkFiles(content.host, problems);
    checkFolders(file, content.host, problems);
    checkEnvironment(content.host, problems);
    checkUser(content.host, problems);
    checkHealth(content.host, problems);
    checkRestoreTest(content.host.restore_test, problems);
    checkBucket(content.host, problems);
    checkVaultCopies(content.host, (to) => vaultFolder(file, to), problems);
    checkLease(content.host, content.gateway, problems);
  }
}

function checkListeners({ gateway, host }: PartialContent, problems: Problems): void {
  const listeners: { path: KeyPath; address: Address }[] = [];
  if (gateway !== undefined)
    listeners.push(
      { path: ["gateway", "listen"], address: gateway.listen },
      { path: ["gateway", "admin"], address: gateway.admin },
      ...gateway.listener.map(({ listen }, index) => ({
        path: ["gateway", "listener", index, "listen"],
        address: listen,
      })),
    );
  if (host !== undefined)
    listeners.push(
      { path: ["host", "control"], address: host.control },
      { path: ["host", "listen"], address: host.listen },
    );
  const port = host?.application.port;
  // At either loopback address.
  if (port !== undefined)
    for (const name of ["127.0.0.1", "::1", "localhost"])
      listeners.push({ path: ["host", "application", "port"], address: { host: name, port } });
  listeners.forEach(({ path, address }, index) => {
    const earlier = listeners.slice(0, index).find((other) => collide(other.address, address));
    if (earlier === undefined || earlier.path === path) return;
    problems.add(path, {
      found: `${formatAddress(address)}, which ${earlier.path.join(".")} takes already`,
      accepted: "an address and port that no other listener uses",
      advice: "choose another port",
    });
  });
}

function checkServices(services: FileContent["service"], problems: Problems): void {
  const names = new Map<string, number>();
  const matches = new Map<string, string>();
  const controls = new Map<string, string>();
  services.forEach((service, index) => {
    const first = names.get(service.name);
    if (first === undefined) names.set(service.name, index);
    else {
      const found = `"${service.name}", which service[${first}] is called already`;
      problems.add(["service", index, "name"], {
        found,
        accepted: "a different name for each service",
        advice: "rename one of them, or join them into one",
      });
    }
    const match = `host ${service.match.host ?? "any"}, path ${service.match.path ?? "any"}`;
    const sameMatch = matches.get(match);
    if (sameMatch === undefined) matches.set(match, service.name);
    else {
      const found = `the same requests (${match}) as service "${sameMatch}"`;
      problems.add(["service", index, "match"], {
        found,
        accepted: "a different host or path for each service",
        advice: "set `match.host` or `match.path`",
      });
    }
    checkServiceHosts(service, index, controls, problems);
  });
}

function checkServiceHosts(
  service: FileContent["service"][number],
  index: number,
  controls: Map<string, string>,
  problems: Problems,
): void {
  const ids = new Map<string, number>();
  service.host.forEach((host, position) => {
    const path: KeyPath = ["service", index, "host", position];
    const first = ids.get(host.id);
    if (first === undefined) ids.set(host.id, position);
    else {
      const found = `"${host.id}", the id of service[${index}].host[${first}] already`;
      problems.add([...path, "id"], {
        found,
        accepted: "a different id for each host of a service",
        advice: "rename one of them",
      });
    }
    const owner = `host "${host.id}" of service "${service.name}"`;
    checkPlainHost(host, path, service, problems);
    const control = host.control === "none" ? `plain:${host.url ?? owner}` : host.control;
    const sameControl = controls.get(control);
    if (sameControl === undefined) controls.set(control, owner);
    else {
      const found = `${host.url ?? host.control}, the address of ${sameControl} already`;
      problems.add([...path, "control"], {
        found,
        accepted: "a different control address for each host",
        advice: "correct one of them",
      });
    }
  });
}

type ServiceHost = FileContent["service"][number]["host"][number];

function checkPlainHost(
  host: ServiceHost,
  path: KeyPath,
  service: FileContent["service"][number],
  problems: Problems,
): void {
  if (host.control !== "none") {
    for (const key of ["url", "health"] as const) {
      if (host[key] !== undefined)
        problems.add([...path, key], {
          found: `${key} beside a control API`,
          accepted: 'only with control = "none"',
          advice: "remove it: the host itself reports its data address and its health",
        });
    }
    return;
  }
  if (host.url === undefined)
    problems.add([...path, "control"], {
      found: '"none" without url',
      accepted: "both",
      advice: 'add url = "http://ADDRESS:PORT" of the server',
    });
  if (service.host.some(({ control }) => control !== "none")) {
    problems.add([...path, "control"], {
      found: `"none" beside hosts with a control API in service "${service.name}"`,
      accepted: "all hosts of a service with one, or all without",
      advice: "split them into two services: requests would reach different data",
    });
  }
}

/** Epochs of plain hosts live in one gateway's memory (src/gateway/service/plain-host.ts). */
function checkPlainAlone(
  { peers }: NonNullable<FileContent["gateway"]>,
  services: FileContent["service"],
  problems: Problems,
): void {
  if (peers.length === 0 || !services.some((service) => service.host.some(({ control }) => control === "none"))) return;
  problems.add(["gateway", "peers"], {
    found: 'peers together with hosts that have control = "none"',
    accepted: "one gateway for plain hosts",
    advice: "remove the peers, or run the hosts under `stead host`",
  });
}

function checkGatewayTimes({ probe, hold }: NonNullable<FileContent["gateway"]>, problems: Problems): void {
  const detectMs = probe.fall * probe.timeout;
  if (hold.requests > 0 && hold.time < detectMs) {
    problems.add(["gateway", "hold", "time"], {
      found: `${formatDuration(hold.time)}, but a hang is noticed only after ${formatDuration(detectMs)} (gateway.probe.fall x gateway.probe.timeout)`,
      accepted: "at least that, and better ten times as much",
      advice: "raise gateway.hold.time, or lower the probe's timeout; gateway.hold.requests = 0 turns holding off",
    });
  }
}

/** Gateways talk to each other at their admin addresses: peers must be able to reach this one. */
function checkPeers(
  { peers, admin, advertise_admin: advertised }: NonNullable<FileContent["gateway"]>,
  problems: Problems,
): void {
  if (peers.length === 0) return;
  const advice = `add advertise_admin = "http://ADDRESS:${admin.port}" with this machine's address`;
  if (advertised === undefined && (isWildcard(admin) || admin.port === 0)) {
    problems.add(["gateway", "admin"], {
      found: `${formatAddress(admin)} together with gateway.peers`,
      accepted: "an address that the other gateways can reach, or any address together with its URL",
      advice,
    });
    return;
  }
  const own = advertised ?? urlOf(admin);
  const abroad = peers.find((url) => !isLoopback(url));
  if (!isLoopback(own) || abroad === undefined) return;
  problems.add(["gateway", advertised === undefined ? "admin" : "advertise_admin"], {
    found: `${own}, which ${abroad} cannot reach`,
    accepted: "an address that the gateways in gateway.peers can reach",
    advice: "listen on an address of this machine's network, or set advertise_admin to one",
  });
}

const isLoopback = (url: string): boolean => /^(localhost|127\.|\[::1\])/.test(new URL(url).hostname);

function checkReachable(host: NonNullable<FileContent["host"]>, problems: Problems): void {
  const pairs = [
    ["control", "advertise_control"],
    ["listen", "advertise_data"],
  ] as const;
  for (const [listen, advertise] of pairs) {
    const address = host[listen];
    if (address.port === 0) {
      problems.add(["host", listen], {
        found: "port 0",
        accepted: "a fixed port, since gateways must find it",
        advice: "choose a port",
      });
    } else if (isWildcard(address) && host[advertise] === undefined) {
      problems.add(["host", listen], {
        found: `${formatAddress(address)} without ${advertise}`,
        accepted: "an address that gateways can reach, or any address together with its URL",
        advice: `add ${advertise} = "http://ADDRESS:${address.port}" with this machine's address`,
      });
    }
  }
}

function checkDurability(host: NonNullable<FileContent["host"]>, problems: Problems): void {
  if (host.durability === "async" && host.async_loss_max === undefined) {
    problems.add(["host", "durability"], {
      found: '"async" without async_loss_max',
      accepted: "async together with the longest time of acknowledged writes that may be lost",
      advice: 'add async_loss_max = "1s", or use durability = "strict"',
    });
  }
  if (host.durability === "strict" && host.async_loss_max !== undefined) {
    problems.add(["host", "async_loss_max"], {
      found: 'a loss window together with durability = "strict"',
      accepted: 'async_loss_max only with durability = "async"',
      advice: 'remove it, or set durability = "async" if such a loss is acceptable',
    });
  }
}

function checkFolders(file: string, host: NonNullable<FileContent["host"]>, problems: Problems): void {
  const { dataFolder, stateFolder, setAsideFolder } = hostFolders(file, host);
  const vault = vaultFolder(file, host.vault);
  if (vault === undefined && parseVaultUrl(host.vault) === undefined && parseS3Url(host.vault) === undefined) {
    problems.add(["host", "vault"], {
      found: JSON.stringify(host.vault),
      accepted: `a folder (its path, or file:///path), a vault server (stead://host:port), or a bucket (${s3UrlAccepted})`,
      advice:
        'mount the shared area as a folder and name it, for example "/mnt/vault/notes", or name a vault server or a bucket',
    });
  }
  const folders: readonly (readonly [key: string, folder: string | undefined])[] = [
    ["vault", vault],
    ["state", stateFolder],
    // By default it is inside the state folder, which is checked itself.
    ["set_aside", contains(stateFolder, setAsideFolder) ? undefined : setAsideFolder],
  ];
  for (const [key, folder] of folders) {
    if (folder === undefined) continue;
    if (!contains(dataFolder, folder) && !(key === "vault" && contains(folder, dataFolder))) continue;
    problems.add(["host", key], {
      found: `${folder}, but the data folder is ${dataFolder}`,
      accepted: "folders that are not inside each other",
      advice: `choose a ${key} folder beside the data folder; the application owns what is below it`,
    });
  }
}

/** Returns undefined if it is not a folder: a vault server, a bucket, or what this version does not support. */
function vaultFolder(file: string, vault: string): string | undefined {
  if (/^[a-z][a-z0-9+.-]*:/i.test(vault) && !/^file:\/\/\/./.test(vault)) return undefined;
  try {
    return fileURLToPath(vaultUrl(file, vault));
  } catch {
    return undefined; // For example a host name, or an encoded slash.
  }
}

function contains(outer: string, innerPath: string): boolean {
  const way = relative(outer, innerPath);
  return way === "" || !(way === ".." || way.startsWith("../") || isAbsolute(way));
}

function checkEnvironment(host: NonNullable<FileContent["host"]>, problems: Problems): void {
  for (const name of ["PORT", "STEAD_DATA"]) {
    if (!Object.hasOwn(host.application.env, name)) continue;
    problems.add(["host", "application", "env", name], {
      found: `${name}, which the host itself sets for the application`,
      accepted: "any other variable",
      advice: "remove it; the application listens where PORT says and keeps its databases in STEAD_DATA",
    });
  }
}

function checkUser({ application: { user, group } }: NonNullable<FileContent["host"]>, problems: Problems): void {
  if (group === undefined || user !== undefined) return;
  problems.add(["host", "application", "group"], {
    found: "a group without a user",
    accepted: "`group` together with `user`",
    advice: "add `user`, or remove the group",
  });
}

function checkHealth({ application }: NonNullable<FileContent["host"]>, problems: Problems): void {
  const { patienceMs, ...times } = resolveHealth(application);
  if (patienceMs === undefined) return;
  const keys = { interval: times.intervalMs, timeout: times.timeoutMs } as const;
  for (const key of ["interval", "timeout"] as const) {
    if (keys[key] <= patienceMs) continue;
    problems.add(["host", "application", "health", key], {
      found: `${formatDuration(keys[key])}, longer than the patience of ${formatDuration(patienceMs)}`,
      accepted: "at most the patience, after which an application without an answered check counts as stuck",
      advice: `lower it, or set host.application.health.patience to more than that (or "off")`,
    });
  }
}

function checkLease(host: NonNullable<FileContent["host"]>, gateway: FileContent["gateway"], problems: Problems): void {
  const margin = host.drift_margin ?? 0;
  const { leaseMs: lease, pollMs: poll } = logTimes(host);
  if (margin > lease) {
    problems.add(["host", "drift_margin"], {
      found: `${formatDuration(margin)}, more than the lease of ${formatDuration(lease)}`,
      accepted: "at most the lease; clocks whose rates differ by that much are broken",
      advice: "leave it out (a tenth of the lease), or correct the unit",
    });
  }
  if (poll * 2 > lease) {
    problems.add(["host", "poll"], {
      found: `${formatDuration(poll)}, but a lease of ${formatDuration(lease)} is renewed every ${formatDuration(lease / 2)}`,
      accepted: "at most half the lease, so that a secondary sees every renewal in time",
      advice: "lower host.poll or raise host.lease",
    });
  }
  if (gateway === undefined) return;
  if (lease < gateway.probe.timeout) {
    problems.add(["host", "lease"], {
      found: `${formatDuration(lease)}, shorter than gateway.probe.timeout (${formatDuration(gateway.probe.timeout)})`,
      accepted: "at least as long as one probe may take",
      advice: "raise host.lease or lower gateway.probe.timeout",
    });
  }
  if (gateway.hold.requests > 0 && gateway.hold.time < lease + margin) {
    problems.add(["gateway", "hold", "time"], {
      found: `${formatDuration(gateway.hold.time)}, shorter than the lease with its margin (${formatDuration(lease + margin)})`,
      accepted: "longer than a new primary may have to wait for the old lease to pass",
      advice: "raise gateway.hold.time or lower host.lease",
    });
  }
}
