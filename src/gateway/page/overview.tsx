/** @jsxImportSource hono/jsx */
/** The overview: each service with its gateways, hosts and vault, what is held, and why it is as it is. */
import type { ClusterService, ClusterStatus } from "../../control/gateway-api.ts";
import { suffices } from "../../control/token.ts";
import { Badge, type Tone } from "./badge.tsx";
import { foremost, hostsAtOnce, HostTable, roleInWords, servicePath, silenceShownMs, toneOf } from "./hosts.tsx";
import type { View, Visitor } from "./layout.tsx";
import { inOrder, pageAt, Pages } from "./paging.tsx";
import { inUnits, instant, orDash, termsText } from "./words.ts";
import { Waterfall } from "./waterfall.tsx";

const servicesPerPage = 5;

export function overview(status: ClusterStatus, visitor: Visitor, page: number): View {
  const services = pageAt(status.services, page, servicesPerPage);
  return {
    title: "Overview",
    entry: "/",
    isLive: true,
    body: (
      <>
        <h1 class="hidden">Overview</h1>
        <Warnings warnings={status.troubles} />
        {status.services.length === 0 ? <p>This gateway has no service.</p> : null}
        {services.items.map((service) => (
          <Service status={status} service={service} visitor={visitor} />
        ))}
        <Pages path="/" page={services.page} isLast={services.isLast} names={inOrder} />
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
      <HostTable service={service.name} hosts={foremost(service)} />
      <Others service={service} />
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

/** The hosts that are on other pages. */
function Others({ service: { name, hosts } }: { readonly service: ClusterService }) {
  if (hosts.length <= hostsAtOnce) return null;
  return (
    <p>
      <a href={servicePath(name)}>All {hosts.length} hosts</a>
    </p>
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

function State({ service }: { readonly service: ClusterService }) {
  const tone: Tone = service.phase === "serving" ? "good" : service.phase === "down" ? "bad" : "poor";
  return (
    <p class="badges">
      <Badge tone={tone}>{service.phase}</Badge>
      {service.maintenance === null ? null : (
        <Badge tone="bad">{`in maintenance${termsText(service.maintenance)}`}</Badge>
      )}
      {service.paused ? <Badge tone="poor">{`automation paused${termsText(service.pause)}`}</Badge> : null}
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
      <a class="button" href={`${base}/${service.maintenance === null ? "maintenance" : "end-maintenance"}`}>
        {service.maintenance === null ? "Maintenance" : "End maintenance"}
      </a>
      <a class="button" href={`${base}/checkpoint`}>
        Checkpoint
      </a>
      <a class="button" href={`${base}/drain`}>
        Drain
      </a>
      <a class="button" href={`${base}/drill`}>
        Drill
      </a>
    </p>
  );
}

/** Clients → gateways → hosts → vault, in this order for readers too. */
function Topology({ status, service }: Omit<ServiceProps, "visitor">) {
  const hosts = foremost(service).toSorted(
    (a, b) => Number(b.id === service.primary) - Number(a.id === service.primary),
  );
  const others = service.hosts.length - hosts.length;
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
          {others === 0 ? null : <li class="node">{others} more</li>}
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
