/** The tables of a service about drills: `[service.drill]` and `[service.objective.probe]`. */
import * as v from "valibot";
import { drillKinds, drillMsMax, drillMsMin } from "../core/failover/drill.ts";
import { choice, credential, duration, httpUrl, message, stringTable, table, text } from "./fields.ts";
import { dueTime } from "./restore-test.ts";

export const plannedDrill = table("service.drill", {
  kind: choice(drillKinds),
  at: dueTime,
  for: v.optional(duration({ min: drillMsMin, max: drillMsMax }), "15s"),
});

const tokenMessage = message(
  'a URL with {token} in it or in `body`, for example "https://notes.example/probes/{token}"',
  "write it as a client of the service would",
);
export const probe = table("service.objective.probe", {
  url: v.pipe(
    httpUrl,
    v.check((text) => !/[{}]/.test(text.replaceAll("{token}", "")), tokenMessage),
  ),
  method: v.optional(choice(["PUT", "POST"]), "PUT"),
  body: v.optional(text("text; {token} in it is replaced"), "{token}"),
  headers: v.optional(stringTable, {}),
  token: v.optional(credential),
  token_file: v.optional(text("path of a file with a token, sent as `Authorization: Bearer`")),
  read: v.optional(httpUrl),
});
