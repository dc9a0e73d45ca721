/** @jsxImportSource hono/jsx */
/** Who sees whom: every gateway's own look at each host, and at each other gateway. */
import type { Seen, SightAnswer } from "../../control/sight-api.ts";
import type { Tone } from "./badge.tsx";
import type { View } from "./layout.tsx";
import { inOrder, pageAt, Pages } from "./paging.tsx";
import { inUnits } from "./words.ts";

const hostsPerPage = 25;
/** A word that is older says little of now. */
const staleMs = 2_000;

type Views = SightAnswer["services"][number]["views"];

/** `name`: the service; empty: the first. */
export function sightView({ services }: SightAnswer, name: string, page: number): View {
  const service = services.find((each) => each.service === name) ?? services[0];
  const views = service?.views ?? [];
  const ids = [...new Set(views.flatMap(({ hosts }) => hosts.map(({ host }) => host)))];
  const shown = pageAt(ids, page, hostsPerPage);
  return {
    title: "Who sees whom",
    entry: "/sight",
    isLive: true,
    body: (
      <>
        <h1>Who sees whom{service === undefined ? "" : `: ${service.service}`}</h1>
        {services.length < 2 ? null : (
          <ul class="choices">
            {services.map(({ service: each }) => (
              <li>
                <a
                  href={`/sight?${new URLSearchParams({ service: each }).toString()}`}
                  {...(each === service?.service ? { "aria-current": "true" } : {})}
                >
                  {each}
                </a>
              </li>
            ))}
          </ul>
        )}
        <section class="card" aria-labelledby="hosts">
          <h2 id="hosts">Gateways and hosts</h2>
          <p class="quiet">
            Each gateway’s own last look: how the host is, how long its last answer to a probe took, and how long ago it
            was heard.
          </p>
          <HostMatrix views={views} hosts={shown.items} />
          <Pages
            path="/sight"
            page={shown.page}
            isLast={shown.isLast}
            names={inOrder}
            query={service === undefined ? {} : { service: service.service }}
          />
        </section>
        <section class="card" aria-labelledby="gateways">
          <h2 id="gateways">Gateways among themselves</h2>
          <p class="quiet">Row by row: how old the last word is that a gateway has of each other one.</p>
          <GatewayMatrix views={views} />
        </section>
      </>
    ),
  };
}

function HostMatrix({ views, hosts }: { readonly views: Views; readonly hosts: readonly string[] }) {
  return (
    <div class="scroll" role="region" aria-label="Hosts, by gateway" tabindex={0}>
      <table class="stack matrix">
        <caption class="hidden">How each gateway sees each host</caption>
        <thead>
          <tr>
            <th scope="col">Host</th>
            {views.map(({ gateway }) => (
              <th scope="col">{gateway}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {hosts.map((host) => (
            <tr>
              <th scope="row">{host}</th>
              {views.map(({ gateway, saidMsAgo, hosts: seen }) => (
                <HostCell gateway={gateway} saidMsAgo={saidMsAgo} seen={seen.find((each) => each.host === host)} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface HostCellProps {
  readonly gateway: string;
  readonly saidMsAgo: number;
  readonly seen: Seen["hosts"][number] | undefined;
}

function HostCell({ gateway, saidMsAgo, seen }: HostCellProps) {
  if (seen === undefined)
    return (
      <td data-name={gateway} class="quiet">
        not registered
      </td>
    );
  const { health, latencyMs, ageMs } = seen;
  const tone: Tone = health === "down" ? "bad" : health === "unknown" || saidMsAgo > staleMs ? "poor" : "good";
  return (
    <td data-name={gateway}>
      <span class={`badge ${tone}`}>{health}</span>{" "}
      <small>
        {latencyMs === null ? "" : `${latencyMs.toFixed(1)} ms, `}
        {ageMs === null ? "never heard" : `${inUnits(ageMs + saidMsAgo)} ago`}
      </small>
    </td>
  );
}

function GatewayMatrix({ views }: { readonly views: Views }) {
  if (views.length < 2) return <p>No other gateway has told this one what it sees.</p>;
  return (
    <div class="scroll" role="region" aria-label="Gateways, by gateway" tabindex={0}>
      <table class="stack matrix">
        <caption class="hidden">How long ago each gateway, by row, heard each other one</caption>
        <thead>
          <tr>
            <th scope="col">Gateway</th>
            {views.map(({ gateway }) => (
              <th scope="col">{gateway}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {views.map(({ gateway, saidMsAgo, gateways }) => (
            <tr>
              <th scope="row">{gateway}</th>
              {views.map(({ gateway: other }) => {
                const heard = gateways.find((each) => each.gateway === other);
                return (
                  <td data-name={other}>
                    {gateway === other ? (
                      <span class="quiet">itself</span>
                    ) : heard === undefined ? (
                      <span class="badge bad">not heard</span>
                    ) : (
                      <span class={`badge ${heard.ageMs + saidMsAgo > staleMs ? "poor" : "good"}`}>
                        {inUnits(heard.ageMs + saidMsAgo)} ago
                      </span>
                    )}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
