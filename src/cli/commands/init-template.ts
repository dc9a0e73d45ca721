/**
 * The configuration file that `stead init` writes. A line that begins with `#` and a key (no space between) shows a
 * default and can be uncommented as it is; a line that begins with `# ` explains. Tests read both kinds.
 */
import { configSchemaFile } from "../../config/json-schema.ts";
import { gatewayLimits, hostLimits, limitLines } from "../../config/limits.ts";

export type InitRole = "gateway" | "host" | "both";

/** Of a host: for gateways, and for what clients ask. */
export interface TemplatePorts {
  readonly control: number;
  readonly listen: number;
}

export const usualPorts: TemplatePorts = { control: 7701, listen: 8001 };

/** In force where no databases are found. */
export const defaultDatabases: readonly string[] = ["*.db"];

export interface InitValues {
  readonly role: InitRole;
  readonly service: string;
  /** Which requests are the service's; default: all that no other service takes. */
  readonly match?: { readonly host: string | undefined; readonly path: string | undefined } | undefined;
  readonly hostId: string;
  readonly ports?: TemplatePorts | undefined;
  readonly secretFile: string;
  /** Undefined: clear text between processes. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
  readonly vault: string;
  /** True if the vault is created together with this file: its host may then initialise it. */
  readonly bootstrap: boolean;
  /** The application's data folder ("data"), and the patterns of its databases (`*.db`). */
  readonly data?: string;
  readonly databases?: readonly string[] | undefined;
  /** Patterns of the files beside them, and of those left out. */
  readonly files?: readonly string[] | undefined;
  readonly filesExcept?: readonly string[] | undefined;
  /** Program and arguments of the application; default: an example. */
  readonly command?: readonly string[] | undefined;
  /** At which other machines reach this one; default: this machine alone. */
  readonly address?: string | undefined;
  readonly gatewayId?: string | undefined;
  /** The gateway's database; default: beside the file. */
  readonly database?: string | undefined;
  /** Admin addresses of other gateways. */
  readonly peers?: readonly string[] | undefined;
  /** Hosts of the service; default: this one. */
  readonly hosts?: readonly { readonly id: string; readonly control: string }[] | undefined;
  /** `cluster.name`; default: it is left out. */
  readonly cluster?: string | undefined;
}

export function configTemplate(values: InitValues): string {
  const parts = [
    clusterPart(values),
    ...(values.role === "host" ? [] : [gatewayPart(values), serviceTemplate(values), notifyPart(values)]),
    ...(values.role === "gateway" ? [] : [hostPart(values)]),
  ];
  return parts.join("\n");
}

/** Of this machine, as other machines reach it. */
const addressOf = ({ address = "127.0.0.1" }: InitValues): string => (address.includes(":") ? `[${address}]` : address);

const portsOf = ({ ports = usualPorts }: InitValues): TemplatePorts => ports;

const quoted = (text: string): string => JSON.stringify(text);
const quotedList = (texts: readonly string[]): string => `[${texts.map(quoted).join(", ")}]`;

const clusterPart = (values: InitValues): string => `#:schema ./${configSchemaFile}
# stead configuration. Check it with: stead config check stead.toml
# Durations and sizes have a unit: "250ms", "1s", "5m", "64KiB", "4MiB". Relative paths start at this file's folder.

[cluster]
# The same secret for all gateways and hosts; no other user should be able to read the file.
secret_file = ${quoted(values.secretFile)}
# Clusters with the same secret and different names do not take each other's calls.
${values.cluster === undefined ? '#name = "stead"' : `name = ${quoted(values.cluster)}`}
# Processes of a version before the authenticated channel, which send the secret in clear text.
#accept_bearer = false
# In a file for commands alone: gateway = "http://10.0.0.1:7700". Mutual TLS: tls = { ca = "ca.pem", cert = "tls.pem", key = "tls.key" }
${values.tls === undefined ? "" : `# Mutual TLS between all processes of the cluster.\ntls = { ca = ${quoted(values.tls.ca)}, cert = ${quoted(values.tls.cert)}, key = ${quoted(values.tls.key)} }\n`}`;

export const gatewayIdOfTemplate = "gw1";
const gatewayPart = (values: InitValues): string => `[gateway]
id = ${quoted(values.gatewayId ?? gatewayIdOfTemplate)}
# Client traffic.
listen = "0.0.0.0:8000"
# Administration: stead status, stead switchover, stead sql.
admin = "${addressOf(values)}:7700"
#advertise_admin = "http://${addressOf(values)}:7700"
# Admin addresses of other gateways; one that runs is enough.
${values.peers === undefined || values.peers.length === 0 ? "#peers = []" : `peers = ${quotedList(values.peers)}`}
# Registry, health, epochs, failovers and events.
database = ${quoted(values.database ?? "gateway.db")}
# Processes that serve clients: a number, or "auto" for one per core.
#workers = 1
#drain = "10s"
# How often to resend a request whose host ended before it answered, and files for bodies that are too long for the memory; how to treat a client that half-closes: "gone" or "serve".
#replay = { again = 1, writes = "named", spool = "0B", spool_folder = ${quoted(`${values.database ?? "gateway.db"}.spool`)} }
# Up to which length an answer leaves only when it is complete, so that its request can be resent if its host ends in the middle; "0B": never.
#answer_whole = "64KiB"
#client_half_close = "gone"
# Load balancers that send a PROXY protocol header, and proxies whose X-Forwarded fields are trusted.
#proxy_protocol_from = []
#trusted_proxies = []
#underscore_fields = "drop"
# true: HTTP/1.1 passes the Hono app, as HTTP/2 does, in place of the faster listener.
#app = false
#traceparent = "pass"

# Failovers, and requests that waited for one, as OpenTelemetry traces: [gateway.traces] with endpoint, the URL of an
# OTLP/HTTP receiver, and headers, headers_file, sample, timeout; see the manual.

[gateway.probe]
#interval = "250ms"
#timeout = "500ms"
#fall = 2
#rise = 2

# Requests held while a service has no primary; beyond these limits they get 503 with Retry-After.
[gateway.hold]
#requests = 10000
#bytes = "64MiB"
#time = "30s"
#concurrency = 64

# TLS for clients, reloaded when the files change: [gateway.tls] with cert = "gateway.pem" and key = "gateway.key", and for
# other names [[gateway.tls.certificate]] with server_name = "notes.example", cert and key. http2 = true offers HTTP/2.
# From an authority (ACME), with renewal: [gateway.tls.acme] with directory, domains, email, folder, agree_terms = true, and
# challenge = "http-01" or "tls-alpn-01"; see the manual.
# Further addresses: [[gateway.listener]] with listen, and serve = "plain", "tls" or "redirect" (to https, at https_port).

[gateway.access_log]
# "off", "stderr" or a file.
#to = "off"
#format = "json"

[gateway.limits]
${limitLines(gatewayLimits)}`;

export const serviceTemplate = (values: InitValues): string => `[[service]]
name = ${quoted(values.service)}
# Restricts the service to a host name or path prefix; by default it gets all requests that no other service takes.
${values.match?.host === undefined ? `#match.host = "${values.service}.example"` : `match.host = ${quoted(values.match.host)}`}
${values.match?.path === undefined ? '#match.path = "/"' : `match.path = ${quoted(values.match.path)}`}
# "manual": a failed primary takes part again only after: stead hosts add
#rejoin = "auto"
# "never": a POST or PATCH that was lost with its host is not sent again; for an application that charges cards, say.
#replay_writes = "named"
# A POST or PATCH with Idempotency-Key is executed once, however often its client sends it.
#idempotency_key = false
# Path prefixes whose responses take longer than gateway.limits.first_byte.
#first_byte = [{ path = "/export", time = "30m" }]
# The page in maintenance, and when no primary came in time: "built-in", or an HTML file; retry_after is 30s.
#maintenance = { page = "built-in" }
# What a drill has to keep: [service.objective] with rto = "2s", and a write that shows that none is lost: [service.objective.probe] with
# url = "https://notes.example/probes/{token}", method = "PUT", body = "{token}", headers = { content-type = "text/plain" }, read = url,
# and token or token_file. Drills that the gateways run by themselves: [service.drill] with kind = "kill", at = "Sun 03:00", for = "15s".
# The hosts of the service, one table for each. More can be added later with: stead hosts add
# An ordinary HTTP server instead, without a vault: control = "none", url = "http://10.0.0.1:8080", health = "/health".
${(values.hosts ?? [{ id: values.hostId, control: `http://${addressOf(values)}:${portsOf(values).control}` }]).map(hostEntry).join("")}`;

const notifyPart = (
  values: InitValues,
): string => `# Who is told what happens, one [[notify]] for each: name = "chat", to = "webhook", "slack", "teams", "pagerduty", "ntfy", "command" or "smtp",
# url or url_file, secret or secret_file, token or token_file, topic, command, timeout = "10s", kinds = ["failover"],
# severity = "info", services = [${quoted(values.service)}]; of smtp: from, recipients, user, password or password_file, starttls, ca.
`;

const hostEntry = ({ id, control }: { readonly id: string; readonly control: string }): string =>
  `[[service.host]]\nid = ${quoted(id)}\ncontrol = ${quoted(control)}\n#priority = 0\n#nofailover = false\n`;

const hostPart = (values: InitValues): string => `[host]
id = ${quoted(values.hostId)}
service = ${quoted(values.service)}
# Gateways use the control address; client requests arrive at the data address. With 0.0.0.0, set the advertised URLs too.
control = "${addressOf(values)}:${portsOf(values).control}"
#advertise_control = "http://${addressOf(values)}:${portsOf(values).control}"
listen = "${addressOf(values)}:${portsOf(values).listen}"
#advertise_data = "http://${addressOf(values)}:${portsOf(values).listen}"
# The data folder, on a local disk. Databases are relative to it: "notes.db", "tenants/*.db"; * and ? match within one folder, ** any folders.
data = ${quoted(values.data ?? "data")}
databases = ${quotedList(values.databases ?? defaultDatabases)}
#databases_except = []
#databases_max = 10000
# Files beside the databases that fail over with them: uploads, keys that the application generated, its list of migrations.
${values.files === undefined || values.files.length === 0 ? "#files = []" : `files = ${quotedList(values.files)}`}
${values.filesExcept === undefined || values.filesExcept.length === 0 ? "#files_except = []" : `files_except = ${quotedList(values.filesExcept)}`}
# "background" acknowledges before the vault has the files; it also needs: files_loss_max = "10s"
#files_durability = "before-answer"
# Bounds, and what happens beyond: "refuse" holds responses, "warn" leaves files out and names them.
#files_max = 100000
#files_bytes_max = "64GiB"
#file_bytes_max = "4GiB"
#files_rate_max = "256MiB"
#files_over = "refuse"
# A database that cannot be captured: "hold" its responses for the patience, or "stop".
#uncaptured = "hold"
#uncaptured_patience = "10s"
# The host's own state, and data that was committed here but never acknowledged.
#state = "data.stead"
#set_aside = "data.stead/set-aside"
#set_aside_keep = 20
#set_aside_bytes = "10GiB"
# A small write that takes longer makes the host impaired.
#disk_stall = "5s"
# The folder that all hosts of this service share; or "stead://vault1:7750", or "s3://bucket/prefix" with [host.vault_s3].
vault = ${quoted(values.vault)}
# [host.vault_s3]: endpoint = "https://s3.example", region = "us-east-1", path_style = true, ca = "ca.pem", credentials_file = "s3.credentials", profile = "default".
# A key in place of the cluster's secret, to open the vault's keys: vault_key_file = "vault.key", vault_key_command = ["program"], or vault_key.
#vault_timeout = "5s"
# On exactly one host, for an empty vault only: initialise it from this host's databases, or from none.
${values.bootstrap ? "bootstrap = true" : "#bootstrap = false"}
#bootstrap_check = "quick"
# "async" acknowledges before the vault has the write; it also needs: async_loss_max = "1s"
#durability = "strict"
#lease = "1s"
#drift_margin = "100ms"
#poll = "20ms"
#drain = "10s"
#drain_streams = "1s"
# Answers to POST and PATCH, kept for their repetitions after a failover; keep = "0s": none.
#outcomes.keep = "10m"
#outcomes.body = "64KiB"
#priority = 0
#nofailover = false
# Whether a supervisor starts this process again when it ends: restarts = true or false; by default, whether systemd has started it.

[host.application]
# Started when this host becomes primary; must listen on 127.0.0.1, at the port in the environment variable PORT.
command = ${quotedList(values.command ?? ["bun", "app.ts"])}
#cwd = "."
# Another user, if the host runs as root: user = "notes", group = "notes".
# Its output: "prefixed" into the host's log, "journald", or the path of a file.
#log = "prefixed"
#env = { LOG_LEVEL = "info" }
#ready = { path = "/health", timeout = "30s" }
# Checks once it is ready, and after which time without an answer and without progress it is stuck ("off": never):
# health = { path = "/health", interval = "1s", timeout = "2s", patience = "10s" }
#stop = { signal = "SIGTERM", timeout = "10s" }
#restarts = { max = 3, window = "1m" }

# Programs of yours at the changes of this host's role, for example for a virtual address: [host.hooks] with
# before_start, on_promote, on_demote (each like command) and timeout = "10s".

# The newest state is restored beside the host, on a schedule, and checked: [host.restore_test] with at = "Sun 04:00" or every = "7d",
# rate = "20MiB", folder = "/var/tmp".

[host.checkpoint]
#interval = "5m"
#journal = "64MiB"
#restore_budget = "10s"
#asked = "10s"
#keep = 2
#window = "1h"
# Beyond the window, the first checkpoint of each hour and day: history = "7d hourly, 90d daily".

[host.limits]
${limitLines(hostLimits)}`;
