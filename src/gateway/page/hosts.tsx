/** @jsxImportSource hono/jsx */
/** The hosts of a service: those of the overview, and all of them in pages. */
import type { ClusterHost, ClusterService } from "../../control/gateway-api.ts";
import { checkpointInWords } from "../../control/checkpoint-words.ts";
import type { HostSamples, SamplesAnswer } from "../../control/samples-api.ts";
import type { ApiCalls } from "./api-calls.ts";
import { Badge, type Tone } from "./badge.tsx";
import type { View } from "./layout.tsx";
import { inOrder, pageAt, Pages } from "./paging.tsx";
import { type Figure, leaseLeft, milliseconds, records, Sparkline } from "./sparkline.tsx";
import { inUnits, orDash } from "./words.ts";

/** Of one service on the overview; more are on pages of their own. */
export const hostsAtOnce = 12;
const hostsPerPage = 25;
/** An older word of a host or peer is shown with its age. */
export const silenceShownMs = 2_000;

/** Returns the hosts of the overview: the primary, then those with something to say, then as they are registered. */
export function foremost({ hosts, primary }: ClusterService): readonly ClusterHost[] {
  const weight = (host: ClusterHost): number =>
    host.id === primary ? 3 : toneOf(host) === "bad" ? 2 : toneOf(host) === "poor" || host.notes.length > 0 ? 1 : 0;
  return hosts.length <= hostsAtOnce ? hosts : hosts.toSorted((a, b) => weight(b) - weight(a)).slice(0, hostsAtOnce);
}

/** Undefined: there is no such service. */
export async function serviceView(api: ApiCalls, name: string, page: number): Promise<View | undefined> {
  const service = (await api.status()).services.find((each) => each.name === name);
  if (service === undefined) return undefined;
  const samples = await api.samples(name);
  const shown = pageAt(service.hosts, page, hostsPerPage);
  return {
    title: `Hosts of ${name}`,
    entry: "/",
    isLive: true,
    body: (
      <>
        <h1>
          {service.hosts.length} hosts of {name}
        </h1>
        <p>
          <a href="/">Overview</a>
        </p>
        <HostTable service={name} hosts={shown.items} samples={samples} />
        <Pages path={servicePath(name)} page={shown.page} isLast={shown.isLast} names={inOrder} />
      </>
    ),
  };
}

export const servicePath = (name: string): string => `/services/${encodeURIComponent(name)}`;

/** The last report of a host that is down is history: a dead primary must not look like a second one. */
export const roleInWords = ({ role, health }: ClusterHost): string =>
  role === null ? "not heard" : health === "down" ? `down, was ${role}` : role;

export const toneOf = ({ health, role, impairments }: ClusterHost): Tone =>
  health === "down" || role === "failed"
    ? "bad"
    : health === "unknown" || impairments.length > 0 || (role !== "primary" && role !== "secondary")
      ? "poor"
      : "good";

interface HostTableProps {
  readonly service: string;
  readonly hosts: readonly ClusterHost[];
  /** Undefined: the last hour is shown elsewhere. */
  readonly samples: SamplesAnswer | undefined;
}

export function HostTable({ service, hosts, samples }: HostTableProps) {
  return (
    <div class="scroll tall" role="region" aria-label={`Hosts of ${service}`} tabindex={0}>
      <table class="stack">
        <caption class="hidden">Hosts of {service}</caption>
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
          {hosts.map((host) => (
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
                <LastHour host={host.id} of="lag" samples={samples} />
              </td>
              <td data-name="Epoch" class="number">
                {orDash(host.epoch)}
              </td>
              <td data-name="Lease" class="number">
                {leaseInWords(host)}
                <LastHour host={host.id} of="leaseLeftMs" samples={samples} />
              </td>
              <td data-name="Vault write" class="number">
                {host.vault?.latencyMs === undefined || host.vault.latencyMs === null
                  ? orDash(null)
                  : `${host.vault.latencyMs.toFixed(1)} ms`}
                <LastHour host={host.id} of="vaultMs" samples={samples} />
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

const figures = {
  lag: { name: "Lag", worst: "most", unit: records },
  leaseLeftMs: { name: "Lease", worst: "least", unit: leaseLeft },
  vaultMs: { name: "Vault write", worst: "most", unit: milliseconds },
} as const satisfies Partial<Record<keyof HostSamples, Omit<Figure, "samples" | "taken">>>;

interface LastHourProps {
  readonly host: string;
  readonly of: keyof typeof figures;
  readonly samples: SamplesAnswer | undefined;
}

function LastHour({ host, of, samples }: LastHourProps) {
  const found = samples?.hosts.find((each) => each.host === host)?.[of];
  return samples === undefined || found === undefined ? null : (
    <Sparkline {...figures[of]} samples={found} taken={samples.taken} />
  );
}

/** The age of the newest record that it knows, of what a lease allows. */
function leaseInWords({ lease, health }: ClusterHost): string {
  if (lease === null || health === "down") return orDash(null);
  const age = lease.lastRecordAgeMs === null ? "no record" : inUnits(Math.max(0, lease.lastRecordAgeMs));
  return `${age} of ${inUnits(lease.ms)}`;
}

function Conditions({ host }: { readonly host: ClusterHost }) {
  const { heardMsAgo, health, checkpointProgress } = host;
  const all = [
    ...(host.reason === null ? [] : [host.reason]),
    ...(checkpointProgress === null || health === "down" ? [] : [checkpointInWords(checkpointProgress)]),
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
