/** The table `[gateway.traces]`: where spans of failovers and of requests that waited for them go. */
import * as v from "valibot";
import { duration, message, stringTable, table, text } from "./fields.ts";

const minute = 60_000;

const endpointMessage = message(
  'the whole URL of an OTLP/HTTP receiver of traces, for example "http://127.0.0.1:4318/v1/traces"',
  "write it with http:// or https:// and its path; most receivers have /v1/traces",
);
const isEndpoint = (text: string): boolean =>
  /^https?:\/\/[^\s]+$/.test(text) && URL.canParse(text) && new URL(text).pathname !== "/";

const sampleMessage = message(
  "a number from 0 to 1, for example 0.1",
  "write it without quotes: 1 is every request with a trace, 0 is none",
);

export const traces = table("gateway.traces", {
  endpoint: v.pipe(v.string(endpointMessage), v.check(isEndpoint, endpointMessage)),
  headers: v.optional(stringTable, {}),
  headers_file: v.optional(text("path of a file with a header in each line, such as `Authorization: Bearer …`")),
  sample: v.optional(v.pipe(v.number(sampleMessage), v.minValue(0, sampleMessage), v.maxValue(1, sampleMessage)), 1),
  timeout: v.optional(duration({ min: 100, max: 5 * minute }), "10s"),
});
