/** @jsxImportSource hono/jsx */
/** The overview: each service with its gateways, hosts and vault, what is held, and why it is as it is. */
import type { ClusterService, ClusterStatus } from "../../control/gateway-api.ts";
import type { SamplesAnswer } from "../../control/samples-api.ts";
import { suffices } from "../../control/token.ts";
import type { Child } from "hono/jsx";
import type { ApiCalls } from "./api-calls.ts";
import { Badge, type Tone } from "./badge.tsx";
import { drillTone } from "./drills.tsx";
import { foremost, hostsAtOnce, HostTable, roleInWords, servicePath, silenceShownMs, toneOf } from "./hosts.tsx";
import type { View, Visitor } from "./layout.tsx";
import { inOrder, pageAt, Pages } from "./paging.tsx";
import { requests, Sparkline } from "./sparkline.tsx";
import { inUnits, instant, orDash, termsText } from "./words.ts";
import { Waterfall } from "./waterfall.tsx";

const servicesPerPage = 5;

/** Lines of the last hour weigh: with more hosts on a page, they are on the pages of the services. */
const hostsWithLinesMax = 24;

export async function overview(api: ApiCalls, visitor: Visitor, page: number): Promise<View> {
  const status = await api.status();
  const services = pageAt(status.services, page, servicesPerPage);
  const hosts = services.items.reduce((sum, service) => sum + foremost(service).length, 0);
  const samples = await Promise.all(services.items.map(({ name }) => api.samples(name)));
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
          <Service
            status={status}
            service={service}
            visitor={visitor}
            samples={samples.find((each) => each.service === service.name)}
            hasHostLines={hosts <= hostsWithLinesMax}
          />
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
  readonly samples: SamplesAnswer | undefined;
  readonly hasHostLines: boolean;
}

function Service({ status, service, visitor, samples, hasHostLines }: ServiceProps) {
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
        <Figure name="held now" value={service.waiting.requests}>
          {samples === undefined ? null : (
            <Sparkline name="Held" samples={samples.held} taken={samples.taken} worst="most" unit={requests} />
          )}
        </Figure>
        <Figure name="held so far" value={service.requests.held} />
        <Figure name="replayed" value={service.requests.replayed} />
        <Figure name="unknown" value={service.requests.unknown} />
        <Figure name="failed" value={service.requests.failed} />
        {service.requests.maintenance === 0 ? null : (
          <Figure name="in maintenance" value={service.requests.maintenance} />
        )}
      </dl>
      <HostTable service={service.name} hosts={foremost(service)} samples={hasHostLines ? samples : undefined} />
      <Others service={service} hasLines={hasHostLines} />
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
      <DrillSummary drill={service.drill} />
    </section>
  );
}

function DrillSummary({ drill: { last, next } }: Pick<ClusterService, "drill">) {
  if (last === null && next === null) return null;
  return (
    <>
      <h3>
        <a href="/drills">Drills</a>
      </h3>
      <dl class="figures">
        {last === null ? null : (
          <>
            <Figure name="last" value={last.kind}>
              {" "}
              <Badge tone={drillTone(last.outcome)}>{last.outcome}</Badge>
            </Figure>
            <Figure name="began" value={instant(last.startedAtMs)} />
            <Figure name="clients waited" value={last.rtoMs === null ? orDash(null) : inUnits(last.rtoMs)} />
            <Figure name="objective" value={last.objectiveMs === null ? orDash(null) : inUnits(last.objectiveMs)} />
          </>
        )}
        {next === null ? null : <Figure name="next" value={`${next.kind}, ${instant(next.nextAtMs)}`} />}
      </dl>
    </>
  );
}

interface OthersProps {
  readonly service: ClusterService;
  readonly hasLines: boolean;
}

/** What is on the pages of the service. */
function Others({ service: { name, hosts }, hasLines }: OthersProps) {
  const isAll = hosts.length <= hostsAtOnce;
  if (isAll && hasLines) return null;
  return (
    <p>
      <a href={servicePath(name)}>
        {isAll ? "The last hour of its hosts" : `All ${hosts.length} hosts, with their last hour`}
      </a>
    </p>
  );
}

interface FigureProps {
  readonly name: string;
  readonly value: string | number;
  readonly children?: Child;
}

function Figure({ name, value, children }: FigureProps) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value}
        {children}
      </dd>
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
function Topology({ status, service }: Pick<ServiceProps, "status" | "service">) {
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
        <ul {...whenLong("Gateways", status.gateways.length)}>
          {status.gateways.map(({ id, self, heardMsAgo, trouble }) => (
            <li class={`node ${trouble === null ? "good" : "poor"}`}>
              <strong>{id}</strong> {self ? "this one" : (trouble ?? heardInWords(heardMsAgo))}
            </li>
          ))}
        </ul>
      </li>
      <li>
        <h3>Hosts</h3>
        <ul {...whenLong("Hosts", hosts.length)}>
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

/** More nodes than are seen at once (`.topology ul`). */
const nodesScrolled = 5;

/** A list that scrolls is reached with the keyboard. */
const whenLong = (name: string, nodes: number): { readonly tabindex?: number; readonly "aria-label"?: string } =>
  nodes > nodesScrolled ? { tabindex: 0, "aria-label": name } : {};

const heardInWords = (ms: number | null): string =>
  ms === null ? "never heard" : ms < silenceShownMs ? "heard" : `silent for ${inUnits(ms)}`;

function vaultLatency({ hosts, primary }: ClusterService): string {
  const latency = hosts.find(({ id }) => id === primary)?.vault?.latencyMs ?? null;
  return latency === null ? "" : `writes in ${latency.toFixed(1)} ms`;
}
