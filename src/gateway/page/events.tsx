/** @jsxImportSource hono/jsx */
/** Events of all gateways, newest first, with a filter and a search. */
import { type ApiCalls, quoted } from "./api-calls.ts";
import { EventTable } from "./event-table.tsx";
import type { View } from "./layout.tsx";
import { Pages } from "./paging.tsx";

const eventsPerPage = 50;

export interface EventQuestion {
  readonly level: string;
  readonly service: string;
  /** Part of the event, its detail or its host. */
  readonly text: string;
  readonly page: number;
}

const levels: readonly (readonly [value: string, name: string])[] = [
  ["", "all levels"],
  ["warning", "warnings and errors"],
  ["info", "info"],
];

export async function eventList(api: ApiCalls, question: EventQuestion): Promise<View> {
  const { level, service, text, page } = question;
  const conditions = [
    ...(level === "info" ? ["level = 'info'"] : level === "warning" ? ["level in ('warning', 'error')"] : []),
    ...(service === "" ? [] : [`service = ${quoted(service)}`]),
    ...(text === ""
      ? []
      : [`instr(lower(what || ' ' || detail || ' ' || coalesce(host, '')), lower(${quoted(text)})) > 0`]),
  ];
  const where = conditions.length === 0 ? "" : `where ${conditions.join(" and ")}`;
  const found = await api.sql(
    `select at, gateway, host, level, what, detail from events ${where} order by at desc, id desc limit ${eventsPerPage + 1} offset ${eventsPerPage * (page - 1)}`,
  );
  const { services } = await api.status();
  const events = { ...found, rows: found.rows.slice(0, eventsPerPage) };
  return {
    title: "Events",
    entry: "/events",
    isLive: true,
    body: (
      <>
        <h1>Events</h1>
        <form method="get" action="/events" class="filter" role="search">
          <label>
            Level{" "}
            <select name="level">
              {levels.map(([value, name]) => (
                <option value={value} selected={value === level}>
                  {name}
                </option>
              ))}
            </select>
          </label>
          <label>
            Service{" "}
            <select name="service">
              <option value="">all services</option>
              {services.map(({ name }) => (
                <option value={name} selected={name === service}>
                  {name}
                </option>
              ))}
            </select>
          </label>
          <label>
            Search <input name="text" type="search" value={text} />
          </label>
          <button type="submit">Show</button>
        </form>
        <EventTable events={events} label="Events, newest first" />
        <Pages
          path="/events"
          page={page}
          isLast={found.rows.length <= eventsPerPage}
          query={{ level, service, text }}
        />
      </>
    ),
  };
}
