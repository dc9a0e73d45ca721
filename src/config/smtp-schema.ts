/** The keys of a target of `[[notify]]` that gets e-mail. */
import * as v from "valibot";
import { message, text } from "./fields.ts";

const addressMessage = message(
  'an e-mail address in ASCII, for example "ops@example.org"',
  "write the address alone, without a name; a domain beyond ASCII as xn--…",
);
const address = v.pipe(
  v.string(addressMessage),
  v.regex(/^[^\s@<>()[\]\\,;:"\x00-\x1f\x7f-\uffff]+@[A-Za-z0-9.-]+$/, addressMessage),
);
const addressesMessage = message(
  'an array of e-mail addresses, for example ["ops@example.org"]',
  "put each address into quotes and the list into brackets",
);

const passwordMessage = message(
  "a line of text",
  'better name a file with it, or write a variable whose name begins with STEAD_, for example "${STEAD_MAIL_PASSWORD}"',
);
const password = v.pipe(v.string(passwordMessage), v.regex(/^[^\x00-\x1f\x7f]+$/, passwordMessage));

export const smtpKeys = {
  from: v.optional(address),
  recipients: v.optional(v.pipe(v.array(address, addressesMessage), v.minLength(1, addressesMessage))),
  user: v.optional(text("the name for signing in at the mail server")),
  password: v.optional(password),
  password_file: v.optional(text("path of a file with the password in its first line")),
  starttls: v.optional(
    v.picklist(
      ["required", "off"],
      message('"required" or "off"', '"off" sends everything in clear text: only for a relay on this machine'),
    ),
  ),
  ca: v.optional(text("path of a PEM file with the authorities of the mail server's certificate")),
};
