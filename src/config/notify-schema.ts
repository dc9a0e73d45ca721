/** The tables `[[notify]]`: who is told of what, and how. */
import * as v from "valibot";
import { messageFormats, notificationKinds, severities } from "../core/notify/notification.ts";
import { choice, commandLine, credential, duration, identifier, message, receiverUrl, table, text } from "./fields.ts";
import { smtpKeys } from "./smtp-schema.ts";

const minute = 60_000;

const listOf = <const Values extends readonly [string, ...string[]]>(values: Values, example: string) =>
  v.array(
    choice(values),
    message(`an array of ${values.join(", ")}`, `write it in brackets, for example ["${example}"]`),
  );

export const notify = table("[notify]", {
  name: identifier,
  to: choice([...messageFormats, "command", "smtp"]),
  url: v.optional(receiverUrl),
  url_file: v.optional(text("path of a file with the URL in its first line")),
  secret: v.optional(credential),
  secret_file: v.optional(text("path of a file with the secret that signs each request")),
  token: v.optional(credential),
  token_file: v.optional(text("path of a file with a token: the bearer token, or PagerDuty's integration key")),
  topic: v.optional(text("the topic of ntfy")),
  command: v.optional(commandLine),
  ...smtpKeys,
  timeout: v.optional(duration({ min: 100, max: 5 * minute }), "10s"),
  kinds: v.optional(listOf(notificationKinds, "failover")),
  severity: v.optional(choice(severities), "info"),
  services: v.optional(
    v.array(identifier, message("an array of names of services", 'write it in brackets, for example ["notes"]')),
  ),
});
