/** @jsxImportSource hono/jsx */
/** What is kept of the data: checkpoints, restore points, and what was set aside; and the suspects. */
import type { ClusterHost, ClusterStatus } from "../../control/gateway-api.ts";
import type { ApiCalls } from "./api-calls.ts";
import type { View } from "./layout.tsx";
import { inOrder, pageAt, Pages } from "./paging.tsx";
import { RestorePointList, restorePointsOf } from "./restore-points.tsx";
import { inUnits, instant, orDash } from "./words.ts";

const hostsPerPage = 25;

export async function dataView(api: ApiCalls, nowMs: number, page: number): Promise<View> {
  const status = await api.status();
  const all = status.services.flatMap(({ name, hosts }) => hosts.map((host) => ({ name, host })));
  const shown = pageAt(all, page, hostsPerPage);
  const services = status.services
    .map(({ name }) => ({ name, hosts: shown.items.filter((each) => each.name === name) }))
    .filter(({ hosts }) => hosts.length > 0);
  const found = await Promise.all(
    services.map(async (service) => ({ ...service, restorePoints: await restorePointsOf(api, service.name) })),
  );
  return {
    title: "Data",
    entry: "/data",
    isLive: true,
    body: (
      <>
        <h1>Data</h1>
        {found.map(({ name, hosts, restorePoints }) => (
          <section class="card" aria-labelledby={`data-${name}`}>
            <h2 id={`data-${name}`}>{name}</h2>
            <RestorePointList service={name} found={restorePoints} nowMs={nowMs} />
            <h3>Hosts</h3>
            <HostData service={name} hosts={hosts.map(({ host }) => host)} nowMs={nowMs} />
          </section>
        ))}
        <Pages path="/data" page={shown.page} isLast={shown.isLast} names={inOrder} />
        <p class="quiet">
          Set aside is what a host had committed and never acknowledged: no client was told that it is there, and a
          person decides.
        </p>
      </>
    ),
  };
}

interface HostDataProps {
  readonly service: string;
  readonly hosts: readonly ClusterHost[];
  readonly nowMs: number;
}

function HostData({ service, hosts, nowMs }: HostDataProps) {
  return (
    <div class="scroll" role="region" aria-label={`Data of ${service} by host`} tabindex={0}>
      <table class="stack">
        <caption class="hidden">Data of {service}, as its hosts report it</caption>
        <thead>
          <tr>
            <th scope="col">Host</th>
            <th scope="col" class="number">
              Position now
            </th>
            <th scope="col" class="number">
              Newest checkpoint
            </th>
            <th scope="col">Made</th>
            <th scope="col" class="number">
              Records since
            </th>
            <th scope="col">Last rehearsal</th>
            <th scope="col">Last restore test</th>
            <th scope="col">Copies of the vault</th>
            <th scope="col">Set aside</th>
          </tr>
        </thead>
        <tbody>
          {hosts.map(({ id, position, checkpoint, rehearsal, restoreTest, vaultCopies, setAside }) => (
            <tr>
              <th scope="row">{id}</th>
              <td data-name="Position" class="number">
                {orDash(position)}
              </td>
              <td data-name="Checkpoint" class="number">
                {orDash(checkpoint?.position)}
              </td>
              <td data-name="Made">
                {checkpoint === null
                  ? orDash(null)
                  : `${instant(checkpoint.wallTimeMs)} (${inUnits(Math.max(0, nowMs - checkpoint.wallTimeMs))} ago)`}
              </td>
              <td data-name="Records since" class="number">
                {checkpoint === null || position === null ? orDash(null) : Math.max(0, position - checkpoint.position)}
              </td>
              <td data-name="Rehearsal">
                {rehearsal === null
                  ? "none in this run"
                  : `${rehearsal.ok ? "ready" : "failed"}, ${instant(rehearsal.atMs)}${rehearsal.startMs === null ? "" : `, started in ${inUnits(rehearsal.startMs)}`}`}
              </td>
              <td data-name="Restore test">
                {restoreTest === null
                  ? "none"
                  : `${restoreTest.outcome}, ${instant(restoreTest.atMs)}${restoreTest.position === null ? "" : `, position ${restoreTest.position}`}, in ${inUnits(restoreTest.tookMs)}${restoreTest.detail === null ? "" : `: ${restoreTest.detail}`}`}
              </td>
              <td data-name="Copies of the vault">
                {vaultCopies.length === 0
                  ? orDash(null)
                  : vaultCopies
                      .map(
                        ({ to, lagMs, lagBytes, error }) =>
                          `${to}: ${lagMs === null ? "not whole yet" : `${inUnits(lagMs)} and ${lagBytes} bytes behind`}${error === null ? "" : `: ${error}`}`,
                      )
                      .join("; ")}
              </td>
              <td data-name="Set aside">
                {setAside.length === 0 ? (
                  <span class="quiet">nothing</span>
                ) : (
                  <ul class="plain">
                    {setAside.map((folder) => (
                      <li>
                        <code>{folder}</code>
                      </li>
                    ))}
                  </ul>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const suspectsPerPage = 50;

export function suspectsView(status: ClusterStatus, page: number): View {
  const all = status.services.flatMap(({ name, hosts }) =>
    hosts.flatMap(({ id, suspects }) => suspects.map((suspect) => ({ service: name, host: id, ...suspect }))),
  );
  const shown = pageAt(all, page, suspectsPerPage);
  return {
    title: "Suspects",
    entry: "/suspects",
    isLive: true,
    body: (
      <>
        <h1>Suspects</h1>
        <p>
          Requests that were executing when the application ended, twice: they wait here instead of ending the next
          primary.
        </p>
        {all.length === 0 ? (
          <p>None: all requests are forwarded.</p>
        ) : (
          <div class="scroll" role="region" aria-label="Suspects" tabindex={0}>
            <table class="stack">
              <caption class="hidden">Suspect requests</caption>
              <thead>
                <tr>
                  <th scope="col">Request</th>
                  <th scope="col">Service</th>
                  <th scope="col">Host</th>
                  <th scope="col" class="number">
                    Endings
                  </th>
                  <th scope="col">Next trial</th>
                </tr>
              </thead>
              <tbody>
                {shown.items.map(({ service, host, method, path, endings, trialInMs }) => (
                  <tr>
                    <th scope="row">
                      <code>
                        {method} {path}
                      </code>
                    </th>
                    <td data-name="Service">{service}</td>
                    <td data-name="Host">{host}</td>
                    <td data-name="Endings" class="number">
                      {endings}
                    </td>
                    <td data-name="Next trial">in {inUnits(trialInMs)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
        <Pages path="/suspects" page={shown.page} isLast={shown.isLast} names={inOrder} />
        <p class="quiet">
          Once the application is mended: <code>stead suspects clear</code>.
        </p>
      </>
    ),
  };
}
