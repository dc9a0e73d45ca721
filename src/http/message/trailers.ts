/**
 * Fields that must not come as trailers (RFC 9110, 6.5.1): they decide about framing, routing, request handling,
 * authentication or how the content is read, and merging them into the head would deceive the recipient.
 */
const forbidden = new Set([
  "transfer-encoding", "content-length", "host", "trailer", "connection", "keep-alive", "te", "upgrade", "proxy-connection",
  "cache-control", "expect", "max-forwards", "pragma", "range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
  "authorization", "proxy-authorization", "proxy-authenticate", "www-authenticate", "cookie", "set-cookie",
  "content-type", "content-encoding", "content-range", "age", "expires", "date", "location", "retry-after", "vary", "warning",
  "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
]);

export function isForbiddenTrailer(name: string): boolean {
  return forbidden.has(name.toLowerCase());
}
