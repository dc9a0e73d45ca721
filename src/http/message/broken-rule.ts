/**
 * Names the rule that a refused upstream response breaks, and the section of the standard, for the application's
 * developers.
 */
import type { ProtocolError } from "./protocol-error.ts";

const sections: Readonly<Record<string, string>> = {
  bare_cr: "RFC 9112, 2.2",
  bare_lf: "RFC 9112, 2.2",
  body_not_allowed: "RFC 9110, 8.6 and RFC 9112, 6.1",
  chunk_end_malformed: "RFC 9112, 7.1",
  chunk_extension_malformed: "RFC 9112, 7.1.1",
  chunk_size_malformed: "RFC 9112, 7.1",
  chunk_size_overflow: "RFC 9112, 7.1",
  connection_malformed: "RFC 9110, 7.6.1",
  connection_names_end_to_end_field: "RFC 9110, 7.6.1",
  content_length_malformed: "RFC 9110, 8.6",
  content_length_overflow: "RFC 9110, 8.6",
  content_length_repeated: "RFC 9110, 8.6",
  field_name_malformed: "RFC 9110, 5.1",
  field_value_malformed: "RFC 9110, 5.5",
  obs_fold: "RFC 9112, 5.2",
  space_before_colon: "RFC 9112, 5.1",
  status_line_malformed: "RFC 9112, 4",
  switch_not_asked: "RFC 9110, 7.8",
  trailer_forbidden: "RFC 9110, 6.5.1",
  transfer_coding_not_supported: "RFC 9112, 6.1",
  transfer_encoding_malformed: "RFC 9112, 6.1",
  transfer_encoding_on_1_0: "RFC 9112, 6.1",
  transfer_encoding_repeated: "RFC 9112, 6.1",
  two_framings: "RFC 9112, 6.2",
  version_malformed: "RFC 9112, 2.3",
  version_not_supported: "RFC 9112, 2.3",
};

/** For rules without a standard, the limits of this server, returns only the message. */
export function brokenRule({ code, message }: ProtocolError): string {
  const section = Object.hasOwn(sections, code) ? ` (${sections[code]})` : "";
  return `${message}${section}`;
}
