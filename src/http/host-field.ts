/**
 * `Host` is uri-host [":" port] (RFC 9110, 7.2). The value is not interpreted here, only checked: what is not a registered
 * name, an IPv4 address or a bracketed IP literal with an optional port is refused.
 */
const hostBytes = (() => {
  const table = new Uint8Array(128);
  // RFC 3986: unreserved, sub-delims and percent; user info ("@"), slashes and brackets are not part of a name.
  for (const char of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+;=%") table[char.charCodeAt(0)] = 1;
  return table;
})();

export function isValidHost(value: string): boolean {
  let at = 0;
  if (value.charCodeAt(0) === 91) {
    const close = value.indexOf("]");
    if (close < 3) return false;
    for (at = 1; at < close; at++) {
      const code = value.charCodeAt(at);
      if (code !== 58 && (code >= 128 || hostBytes[code] !== 1)) return false;
    }
    at = close + 1;
  } else {
    while (at < value.length) {
      const code = value.charCodeAt(at);
      if (code >= 128 || hostBytes[code] !== 1) break;
      at++;
    }
    if (at === 0) return false;
  }
  if (at === value.length) return true;
  if (value.charCodeAt(at) !== 58 || value.length - at > 6) return false;
  for (at++; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if (code < 48 || code > 57) return false;
  }
  return true;
}
