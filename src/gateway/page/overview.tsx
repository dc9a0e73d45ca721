/** @jsxImportSource hono/jsx */
/** The overview: each service with its gateways, hosts and vault, what is held, and why it is as it is. */
import type { ClusterHost, ClusterService, ClusterStatus } from "../../control/gateway-api.ts";
import { suffices } from "../../control/token.ts";
import type { View, Visitor } from "./layout.tsx";
import { inUnits, instant, orDash } from "./words.ts";
import { Waterfall } from "./waterfall.tsx";

/** An older word of a host or peer is shown with its age. */
const silenceShownMs = 2_000;

export function overview(status: ClusterStatus, visitor: Visitor): View {
  return {
    title: "Overview",
    entry: "/",
    isLive: true,
    body: (
      <>
        <h1 class="hidden">Overview</h1>
        <Warnings warnings={status.troubles} />
        {status.services.length === 0 ? <p>This gateway has no service.</p> : null}
        {status.services.map((service) => (
          <Service status={status} service={service} visitor={visitor} />
        ))}
      </>
    ),
  };
}

function Warnings({ warnings }: { readonly warnings: readonly string[] }) {
  if (warnings.length === 0) return null;
  return (
    <section class="card warning" aria-labelledby="warnings">
      <h2 id="warnings">Warnings of this gateway</h2>
      <ul>
        {warnings.map((warning) => (
          <li>{warning}</li>
        ))}
      </ul>
    </section>
  );
}

interface ServiceProps {
  readonly status: ClusterStatus;
  readonly service: ClusterService;
  readonly visitor: Visitor;
}

function Service({ status, service, visitor }: ServiceProps) {
  const last = service.failovers.at(-1);
  const name = `service-${service.name}`;
  return (
    <section class="card" aria-labelledby={name}>
      <div class="head">
        <h2 id={name}>{service.name}</h2>
        <State service={service} />
        {suffices(visitor.role, "operator") ? <Orders service={service} /> : null}
      </div>
      {service.reason === null ? null : <p class="reason">{service.reason}</p>}
      <Topology status={status} service={service} />
      <dl class="figures">
        <Figure name="primary" value={orDash(service.primary)} />
        <Figure name="epoch" value={service.epoch} />
        <Figure name="requests/s" value={service.requestsPerSecond.toFixed(0)} />
        <Figure name="held now" value={service.waiting.requests} />
        <Figure name="held so far" value={service.requests.held} />
        <Figure name="replayed" value={service.requests.replayed} />
        <Figure name="unknown" value={service.requests.unknown} />
        <Figure name="failed" value={service.requests.failed} />
      </dl>
      <HostTable service={service} />
      {last === undefined ? null : (
        <>
          <h3>
            Last failover: {last.kind} {orDash(last.from)} → {orDash(last.to)}, {last.outcome}
          </h3>
          <p class="quiet">
            {instant(last.decidedAtMs)} · <a href={`/failovers/${encodeURIComponent(last.id)}`}>evidence and events</a>
          </p>
          <Waterfall entry={last} />
        </>
      )}
    </section>
  );
}

function Figure({ name, value }: { readonly name: string; readonly value: string | number }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

type Tone = "good" | "poor" | "bad" | "none";

export function Badge({ tone, children }: { readonly tone: Tone; readonly children?: string | readonly string[] }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

function State({ service }: { readonly service: ClusterService }) {
  const tone: Tone = service.phase === "serving" ? "good" : service.phase === "down" ? "bad" : "poor";
  return (
    <p class="badges">
      <Badge tone={tone}>{service.phase}</Badge>
      {service.paused ? <Badge tone="poor">automation paused</Badge> : null}
      {service.vault.state === "well" ? null : (
        <Badge tone="bad">{`vault ${service.vault.state} for ${inUnits(service.vault.forMs)}`}</Badge>
      )}
      {service.row === null ? null : <Badge tone="poor">{`${service.row.count} primaries lost in a row`}</Badge>}
    </p>
  );
}

function Orders({ service }: { readonly service: ClusterService }) {
  const base = `/orders/${encodeURIComponent(service.name)}`;
  return (
    <p class="orders">
      <a class="button" href={`${base}/switchover`}>
        Switch over
      </a>
      <a class="button" href={`${base}/${service.paused ? "resume" : "pause"}`}>
        {service.paused ? "Resume" : "Pause"}
      </a>
      <a class="button" href={`${base}/checkpoint`}>
        Checkpoint
      </a>
      <a class="button" href={`${base}/drain`}>
        Drain
      </a>
    </p>
  );
}

/** Clients → gateways → hosts → vault, in this order for readers too. */
function Topology({ status, service }: Omit<ServiceProps, "visitor">) {
  const hosts = service.hosts.toSorted((a, b) => Number(b.id === service.primary) - Number(a.id === service.primary));
  return (
    <ol class="topology" aria-label={`The way of a request of ${service.name}`}>
      <li>
        <h3>Clients</h3>
        <p class="node">
          <strong>{status.connections}</strong> connections here
          {service.waiting.requests === 0 ? null : <em>{service.waiting.requests} requests are held</em>}
        </p>
      </li>
      <li>
        <h3>Gateways</h3>
        <ul>
          {status.gateways.map(({ id, self, heardMsAgo, trouble }) => (
            <li class={`node ${trouble === null ? "good" : "poor"}`}>
              <strong>{id}</strong> {self ? "this one" : (trouble ?? heardInWords(heardMsAgo))}
            </li>
          ))}
        </ul>
      </li>
      <li>
        <h3>Hosts</h3>
        <ul>
          {hosts.map((host) => (
            <li class={`node ${toneOf(host)} ${host.id === service.primary ? "primary" : ""}`}>
              <strong>{host.id}</strong> {roleInWords(host)}
              {host.id === service.routedTo ? <em>has the traffic</em> : null}
            </li>
          ))}
        </ul>
      </li>
      <li>
        <h3>Vault</h3>
        <p class={`node ${service.vault.state === "well" ? "good" : "bad"}`}>
          <strong>{service.vault.state}</strong> {vaultLatency(service)}
        </p>
      </li>
    </ol>
  );
}

const heardInWords = (ms: number | null): string =>
  ms === null ? "never heard" : ms < silenceShownMs ? "heard" : `silent for ${inUnits(ms)}`;

function vaultLatency({ hosts, primary }: ClusterService): string {
  const latency = hosts.find(({ id }) => id === primary)?.vault?.latencyMs ?? null;
  return latency === null ? "" : `writes in ${latency.toFixed(1)} ms`;
}

/** The last report of a host that is down is history: a dead primary must not look like a second one. */
const roleInWords = ({ role, health }: ClusterHost): string =>
  role === null ? "not heard" : health === "down" ? `down, was ${role}` : role;

const toneOf = ({ health, role, impairments }: ClusterHost): Tone =>
  health === "down" || role === "failed"
    ? "bad"
    : health === "unknown" || impairments.length > 0 || (role !== "primary" && role !== "secondary")
      ? "poor"
      : "good";

function HostTable({ service }: { readonly service: ClusterService }) {
  return (
    <div class="scroll tall" role="region" aria-label={`Hosts of ${service.name}`} tabindex={0}>
      <table class="stack">
        <caption class="hidden">Hosts of {service.name}</caption>
        <thead>
          <tr>
            <th scope="col">Host</th>
            <th scope="col">Role</th>
            <th scope="col">Application</th>
            <th scope="col" class="number">
              Position
            </th>
            <th scope="col" class="number">
              Lag
            </th>
            <th scope="col" class="number">
              Epoch
            </th>
            <th scope="col" class="number">
              Lease
            </th>
            <th scope="col" class="number">
              Vault write
            </th>
            <th scope="col" class="number">
              Priority
            </th>
            <th scope="col">Conditions</th>
          </tr>
        </thead>
        <tbody>
          {service.hosts.map((host) => (
            <tr>
              <th scope="row">{host.id}</th>
              <td data-name="Role">
                <Badge tone={toneOf(host)}>{roleInWords(host)}</Badge>
              </td>
              <td data-name="Application">{host.application?.state ?? orDash(null)}</td>
              <td data-name="Position" class="number">
                {orDash(host.position)}
              </td>
              <td data-name="Lag" class="number">
                {orDash(host.lag)}
              </td>
              <td data-name="Epoch" class="number">
                {orDash(host.epoch)}
              </td>
              <td data-name="Lease" class="number">
                {leaseInWords(host)}
              </td>
              <td data-name="Vault write" class="number">
                {host.vault?.latencyMs === undefined || host.vault.latencyMs === null
                  ? orDash(null)
                  : `${host.vault.latencyMs.toFixed(1)} ms`}
              </td>
              <td data-name="Priority" class="number">
                {host.priority}
              </td>
              <td data-name="Conditions" class="conditions">
                <Conditions host={host} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The age of the newest record that it knows, of what a lease allows. */
function leaseInWords({ lease, health }: ClusterHost): string {
  if (lease === null || health === "down") return orDash(null);
  const age = lease.lastRecordAgeMs === null ? "no record" : inUnits(Math.max(0, lease.lastRecordAgeMs));
  return `${age} of ${inUnits(lease.ms)}`;
}

function Conditions({ host }: { readonly host: ClusterHost }) {
  const { heardMsAgo, health } = host;
  const all = [
    ...(host.reason === null ? [] : [host.reason]),
    ...(host.nofailover ? ["no candidate: nofailover is set"] : []),
    ...host.notes.filter((note) => note !== host.reason),
    ...(health !== "down" && heardMsAgo !== null && heardMsAgo >= silenceShownMs
      ? [`silent for ${inUnits(heardMsAgo)}`]
      : []),
  ];
  if (all.length === 0) return <span class="quiet">none</span>;
  return (
    <ul class="plain">
      {all.map((each) => (
        <li>{each}</li>
      ))}
    </ul>
  );
}
