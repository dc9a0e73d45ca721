/** The table [gateway.tls.acme]. */
import * as v from "valibot";
import { choice, message, table, text } from "./fields.ts";

const directoryMessage = message(
  'the https URL of an ACME directory, for example "https://acme-v02.api.letsencrypt.org/directory"',
  "write the URL that the certificate authority documents",
);
const domainsMessage = message(
  'names in lower case without a port and without "*", for example ["notes.example", "www.notes.example"]',
  "name each; a wildcard cannot be proven by http-01 or tls-alpn-01",
);
const domain = v.pipe(
  v.string(domainsMessage),
  v.regex(
    /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    domainsMessage,
  ),
);
const emailMessage = message(
  'an e-mail address, for example "ops@notes.example"',
  "write it without a name and brackets",
);
const termsMessage = message(
  "true, which agrees to the authority's terms of service",
  "read them (the directory names them in meta.termsOfService), then write agree_terms = true",
);

export const acme = table("gateway.tls.acme", {
  directory: v.pipe(v.string(directoryMessage), v.regex(/^https:\/\/[^/\s?#]+\/[^\s#]*$/, directoryMessage)),
  domains: v.pipe(v.array(domain, domainsMessage), v.minLength(1, domainsMessage), v.maxLength(100, domainsMessage)),
  email: v.optional(v.pipe(v.string(emailMessage), v.regex(/^[^\s@<>,?]+@[^\s@<>,?]+$/, emailMessage))),
  agree_terms: v.literal(true, termsMessage),
  folder: text("path of a folder for account, key and certificate", 'for example "/var/lib/stead/acme"'),
  challenge: v.optional(choice(["http-01", "tls-alpn-01"]), "http-01"),
  ca: v.optional(text("path of a PEM file with the authorities that the directory's certificate is checked with")),
});
