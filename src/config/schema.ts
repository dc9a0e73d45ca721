/**
 * The keys of a configuration file, their bounds and their defaults. The reference in docs/OPERATIONS.md follows this
 * file; a test compares them. Rules about more than one key are in contradictions.ts.
 */
import * as v from "valibot";
import { databasePatternAccepted, databaseSegments } from "../core/database-pattern.ts";
import { leaseMsMax, leaseMsMin } from "../core/host/lease.ts";
import {
  addressRange,
  baseUrl,
  choice,
  commandLine,
  duration,
  flag,
  identifier,
  listenAddress,
  message,
  size,
  stringTable,
  table,
  tables,
  text,
  whole,
} from "./fields.ts";
import { acme } from "./acme-schema.ts";
import { fileEntries } from "./files-schema.ts";
import { plannedDrill, probe } from "./drill-schema.ts";
import { history } from "./history-rule.ts";
import { gatewayLimits, hostLimits, limitEntries } from "./limits.ts";
import { notify } from "./notify-schema.ts";
import { restoreTest } from "./restore-test.ts";
import { traces } from "./traces-schema.ts";
import { bucketEntries, vaultCopy } from "./vault-copy-schema.ts";

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const KiB = 2 ** 10;
const GiB = 2 ** 30;

const certificateFiles = {
  cert: text("path of a PEM file with the certificate and its chain"),
  key: text("path of a PEM file with the private key"),
};
const serverNameMessage = message(
  'a server name in lower case, for example "notes.example" or "*.notes.example"',
  "write it without a port",
);
const tls = table("gateway.tls", {
  cert: v.optional(certificateFiles.cert),
  key: v.optional(certificateFiles.key),
  acme: v.optional(acme),
  http2: v.optional(flag, false),
  certificate: v.optional(
    tables(
      "gateway.tls.certificate",
      table("[gateway.tls.certificate]", {
        server_name: v.pipe(
          v.string(serverNameMessage),
          v.regex(/^(?:\*\.)?[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?$/, serverNameMessage),
        ),
        ...certificateFiles,
      }),
    ),
    [],
  ),
});

const listener = table("[gateway.listener]", {
  listen: listenAddress,
  serve: v.optional(choice(["plain", "tls", "redirect"]), "plain"),
  https_port: v.optional(whole(1, 65_535)),
});

const rangesMessage = message(
  'an array of addresses and ranges, for example ["10.0.0.7", "10.1.0.0/16", "fd00::/8"]',
  "put each entry into quotes and the list into brackets",
);
const addressRanges = v.array(addressRange, rangesMessage);

export const clusterDefault = { name: "stead", accept_bearer: false };
const cluster = table("cluster", {
  secret: v.optional(text("the cluster's secret, at least 16 characters")),
  secret_file: v.optional(text("path of a file with the cluster's secret")),
  name: v.optional(identifier, clusterDefault.name),
  accept_bearer: v.optional(flag, false),
  gateway: v.optional(baseUrl),
  tls: v.optional(
    table("cluster.tls", { ca: text("path of a PEM file with the cluster's authority"), ...certificateFiles }),
  ),
});

/** A proxy gains nothing from more processes than this; "auto" stops there too. */
export const workersMax = 64;
const workersMessage = message(
  `a whole number from 1 to ${workersMax}, or "auto" for one per core`,
  "1 serves clients in the gateway's own process",
);

const gateway = table("gateway", {
  id: identifier,
  listen: listenAddress,
  admin: v.optional(listenAddress, "127.0.0.1:7700"),
  advertise_admin: v.optional(baseUrl),
  peers: v.optional(
    v.array(
      baseUrl,
      message(
        "an array of admin addresses of other gateways",
        'for example ["http://10.0.0.2:7700"]; one that runs is enough',
      ),
    ),
    [],
  ),
  database: text(
    "path of the gateway's libSQL file",
    'name a file in an existing folder, for example "/var/lib/stead/gateway.db"',
  ),
  probe: v.optional(
    table("gateway.probe", {
      interval: v.optional(duration({ min: 10, max: minute }), "250ms"),
      timeout: v.optional(duration({ min: 10, max: minute }), "500ms"),
      fall: v.optional(whole(1, 100), 2),
      rise: v.optional(whole(1, 100), 2),
    }),
    {},
  ),
  hold: v.optional(
    table("gateway.hold", {
      requests: v.optional(whole(0, 1_000_000), 10_000),
      bytes: v.optional(size({ max: 64 * GiB }), "64MiB"),
      time: v.optional(duration({ max: hour }), "30s"),
      concurrency: v.optional(whole(1, 10_000), 64),
    }),
    {},
  ),
  replay: v.optional(
    table("gateway.replay", {
      again: v.optional(whole(0, 3), 1),
      writes: v.optional(choice(["named", "never"]), "named"),
      spool: v.optional(size({ max: 1024 * GiB }), "0B"),
      spool_folder: v.optional(
        text("path of a folder", 'name one on a disk of this machine, for example "/var/lib/stead/spool"'),
      ),
    }),
    {},
  ),
  answer_whole: v.optional(size({ max: 1024 * KiB }), "64KiB"),
  client_half_close: v.optional(choice(["gone", "serve"]), "gone"),
  drain: v.optional(duration({ max: hour }), "10s"),
  workers: v.optional(v.union([v.literal("auto"), whole(1, workersMax)], workersMessage), 1),
  limits: v.optional(table("gateway.limits", limitEntries(gatewayLimits)), {}),
  tls: v.optional(tls),
  app: v.optional(flag, false),
  listener: v.optional(tables("gateway.listener", listener), []),
  proxy_protocol_from: v.optional(addressRanges, []),
  trusted_proxies: v.optional(addressRanges, []),
  underscore_fields: v.optional(choice(["drop", "keep"]), "drop"),
  traceparent: v.optional(choice(["pass", "make"]), "pass"),
  traces: v.optional(traces),
  access_log: v.optional(
    table("gateway.access_log", {
      to: v.optional(text('"off", "stderr" or the path of a file', 'for example "/var/log/stead/access.log"'), "off"),
      format: v.optional(choice(["json", "combined"]), "json"),
    }),
    {},
  ),
});

const pathMessage = message(
  'a path that begins with a slash, for example "/health"',
  "begin it with / and leave out spaces, ? and #",
);
const urlPath = v.pipe(v.string(pathMessage), v.regex(/^\/[^\s?#]*$/, pathMessage));

const targetMessage = message(
  'a path that begins with a slash, with a query if need be, for example "/health?deep=0"',
  "begin it with / and leave out spaces and #; write non-ASCII characters as %XX",
);
/** The request target of checks of an application or a plain host. */
const requestTarget = v.pipe(v.string(targetMessage), v.regex(/^\/[!-"$-~]*$/, targetMessage));

const hostNameMessage = message(
  'a host name in lower case without a port, for example "notes.example"',
  "write it as clients send it in the Host header",
);
const hostName = v.pipe(v.string(hostNameMessage), v.regex(/^[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?$/, hostNameMessage));

const controlMessage = message(
  'the URL of the host\'s control API, http://host:port without a path, or "none" for an ordinary HTTP server',
  'with "none" add `url`',
);
const controlAddress = v.union([v.literal("none"), baseUrl], controlMessage);

const service = table("[service]", {
  name: identifier,
  match: v.optional(table("service.match", { host: v.optional(hostName), path: v.optional(urlPath) }), {}),
  rejoin: v.optional(choice(["auto", "manual"]), "auto"),
  objective: v.optional(
    table("service.objective", {
      rto: v.optional(duration({ min: 1, max: 24 * hour })),
      probe: v.optional(probe),
    }),
    {},
  ),
  drill: v.optional(plannedDrill),
  maintenance: v.optional(
    table("service.maintenance", {
      page: v.optional(
        text('"built-in", or the path of an HTML file', "the path is relative to the folder of this file"),
      ),
      retry_after: v.optional(duration({ min: 1_000, max: hour }), "30s"),
    }),
    {},
  ),
  replay_writes: v.optional(choice(["named", "never"])),
  idempotency_key: v.optional(flag, false),
  first_byte: v.optional(
    tables(
      "service.first_byte",
      table("[service.first_byte]", { path: urlPath, time: duration({ min: 100, max: 24 * hour }) }),
    ),
    [],
  ),
  host: v.optional(
    tables(
      "service.host",
      table("[service.host]", {
        id: identifier,
        control: controlAddress,
        url: v.optional(baseUrl),
        health: v.optional(requestTarget),
        priority: v.optional(whole(-1000, 1000)),
        nofailover: v.optional(flag),
      }),
    ),
    [],
  ),
});

const databaseMessage = message(
  `at least one path or glob: ${databasePatternAccepted}`,
  "write them relative to `data`, without `..`; `**` only as a whole segment before the last; if it ends in -wal, -shm or -journal, like SQLite's own files, put a wildcard there (`trip-*` for trip-journal)",
);
const database = v.pipe(
  v.string(databaseMessage),
  v.check((pattern) => databaseSegments(pattern) !== undefined, databaseMessage),
);

const patienceMessage = message(
  '"off", or a duration with its unit from 500ms to 24h, for example "10s"',
  "write it in quotes; a unit is never guessed",
);

const logMessage = message(
  '"prefixed", "journald" or the path of a file, for example "/var/log/notes.log"',
  "a path has a slash: ./notes.log for one beside this file",
);
const accountMessage = message(
  'the name or number of an account of this machine, for example "notes"',
  "write it in quotes, as `getent passwd` or `getent group` shows it",
);
const accountName = v.pipe(v.string(accountMessage), v.regex(/^[A-Za-z0-9_][A-Za-z0-9_.@\\-]*$/, accountMessage));

const application = table("host.application", {
  command: commandLine,
  cwd: v.optional(text("path of a folder")),
  user: v.optional(accountName),
  group: v.optional(accountName),
  log: v.optional(v.pipe(v.string(logMessage), v.regex(/^(?:prefixed|journald|.*\/.*[^/])$/s, logMessage)), "prefixed"),
  port: v.optional(whole(1, 65_535)),
  env: v.optional(stringTable, {}),
  ready: v.optional(
    table("host.application.ready", {
      path: v.optional(requestTarget),
      timeout: v.optional(duration({ min: 100, max: hour }), "30s"),
    }),
    {},
  ),
  health: v.optional(
    table("host.application.health", {
      path: v.optional(requestTarget),
      interval: v.optional(duration({ min: 100, max: hour })),
      timeout: v.optional(duration({ min: 100, max: hour })),
      patience: v.optional(v.union([v.literal("off"), duration({ min: 500, max: 24 * hour })], patienceMessage)),
    }),
    {},
  ),
  stop: v.optional(
    table("host.application.stop", {
      command: v.optional(commandLine),
      signal: v.optional(choice(["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL"]), "SIGTERM"),
      timeout: v.optional(duration({ max: hour }), "10s"),
    }),
    {},
  ),
  restarts: v.optional(
    table("host.application.restarts", {
      max: v.optional(whole(0, 1000), 3),
      window: v.optional(duration({ min: second, max: 24 * hour }), "1m"),
    }),
    {},
  ),
});

const host = table("host", {
  id: identifier,
  service: identifier,
  control: listenAddress,
  advertise_control: v.optional(baseUrl),
  listen: listenAddress,
  advertise_data: v.optional(baseUrl),
  data: text("path of the application's data folder", 'name a folder on a local disk, for example "/var/lib/notes"'),
  databases: v.pipe(v.array(database, databaseMessage), v.minLength(1, databaseMessage)),
  databases_except: v.optional(v.array(database, databaseMessage), []),
  databases_max: v.optional(whole(1, 100_000), 10_000),
  ...fileEntries,
  uncaptured: v.optional(choice(["hold", "stop"]), "hold"),
  uncaptured_patience: v.optional(duration({ min: 100, max: 10 * minute }), "10s"),
  state: v.optional(text("path of a folder for the host's own state")),
  set_aside: v.optional(text("path of a folder for data that was never acknowledged")),
  set_aside_keep: v.optional(whole(1, 10_000), 20),
  set_aside_bytes: v.optional(size({ max: 1024 * GiB }), "10GiB"),
  disk_stall: v.optional(duration({ min: 100, max: 10 * minute }), "5s"),
  vault: text(
    "path of the vault's folder, the address of a vault server, or a bucket",
    'name the folder that all hosts of the service share, for example "/mnt/vault/notes", a server: "stead://vault1:7750", or a bucket: "s3://bucket/notes"',
  ),
  vault_s3: v.optional(table("host.vault_s3", bucketEntries)),
  vault_copy: v.optional(tables("host.vault_copy", vaultCopy), []),
  vault_key: v.optional(text("the vault's key, in place of the cluster's secret, at least 16 characters")),
  vault_key_file: v.optional(text("path of a file with the vault's key, in place of the cluster's secret")),
  vault_key_command: v.optional(commandLine),
  vault_timeout: v.optional(duration({ min: 100, max: 10 * minute }), "5s"),
  bootstrap: v.optional(flag, false),
  bootstrap_check: v.optional(choice(["quick", "full"]), "quick"),
  durability: v.optional(choice(["strict", "async"]), "strict"),
  async_loss_max: v.optional(duration({ min: 1, max: hour })),
  lease: v.optional(duration({ min: leaseMsMin, max: leaseMsMax })),
  drift_margin: v.optional(duration({ max: minute })),
  poll: v.optional(duration({ min: 1, max: minute })),
  drain: v.optional(duration({ max: hour }), "10s"),
  drain_streams: v.optional(duration({ max: hour }), "1s"),
  outcomes: v.optional(
    table("host.outcomes", {
      keep: v.optional(duration({ max: hour }), "10m"),
      body: v.optional(size({ max: 1024 * KiB }), "64KiB"),
    }),
    {},
  ),
  priority: v.optional(whole(-1000, 1000), 0),
  nofailover: v.optional(flag, false),
  restarts: v.optional(flag),
  hooks: v.optional(
    table("host.hooks", {
      before_start: v.optional(commandLine),
      on_promote: v.optional(commandLine),
      on_demote: v.optional(commandLine),
      timeout: v.optional(duration({ min: 100, max: 14 * second }), "10s"),
    }),
  ),
  restore_test: v.optional(restoreTest),
  application,
  checkpoint: v.optional(
    table("host.checkpoint", {
      interval: v.optional(duration({ min: second, max: 30 * 24 * hour }), "5m"),
      journal: v.optional(size({ min: 64 * KiB, max: 1024 * GiB }), "64MiB"),
      restore_budget: v.optional(duration({ min: 100, max: 24 * hour }), "10s"),
      asked: v.optional(duration({ min: 100, max: 24 * hour }), "10s"),
      keep: v.optional(whole(1, 10_000), 2),
      // With less, a checkpoint would delete records that secondaries have not read yet: they would never stop
      // restoring.
      window: v.optional(duration({ min: 10 * second, max: 3650 * 24 * hour }), "1h"),
      history: v.optional(history()),
    }),
    {},
  ),
  limits: v.optional(table("host.limits", limitEntries(hostLimits)), {}),
});

const vault = table("vault", {
  data: text("path of the vault's folder", "name the folder that `stead vault create --log segments` has made"),
  listen: v.optional(listenAddress, "0.0.0.0:7750"),
});

/** A whole file. Every part is optional here: each command checks for the parts it needs. */
export const fileSchema = v.object({
  cluster: v.optional(cluster, clusterDefault),
  gateway: v.optional(gateway),
  service: v.optional(tables("service", service), []),
  host: v.optional(host),
  vault: v.optional(vault),
  notify: v.optional(tables("notify", notify), []),
});
export type FileContent = v.InferOutput<typeof fileSchema>;
