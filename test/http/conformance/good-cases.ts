/** Good messages and what must come out on the other side, to the byte. */
export interface GoodRequest {
  readonly name: string;
  readonly sent: string;
  /** What the upstream must get. */
  readonly forwarded: string;
}

export interface GoodResponse {
  readonly name: string;
  readonly request: string;
  readonly sent: string;
  /** The upstream ends its connection after `sent`. */
  readonly ends?: true;
  /** What the client must get; "[…]" stands for chunk boundaries that may differ, see `withoutChunkBoundaries`. */
  readonly passed: string;
}

export const goodRequests: readonly GoodRequest[] = [
  {
    name: "the smallest request",
    sent: "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    forwarded: "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  },
  {
    name: "an empty line before it",
    sent: "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    forwarded: "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  },
  {
    name: "fields in their order and case, duplicates, spaces around values",
    sent: 'GET /a/./b?c=d&e=%41;{}|"<>\\^` HTTP/1.1\r\nhOsT:a.example:8080\r\nX-B: 1\r\nx-b:  2\t\r\nX-Empty:\r\nX-Latin: \xe9\xff\r\nX-Tab: a\tb\r\nCookie: a=b; c=d\r\n\r\n',
    forwarded:
      'GET /a/./b?c=d&e=%41;{}|"<>\\^` HTTP/1.1\r\nhOsT: a.example:8080\r\nX-B: 1\r\nx-b: 2\r\nX-Empty: \r\nX-Latin: \xe9\xff\r\nX-Tab: a\tb\r\nCookie: a=b; c=d\r\n\r\n',
  },
  {
    name: "a body with Content-Length",
    sent: "POST /p HTTP/1.1\r\nHost: a\r\ncontent-length: 11\r\nX: y\r\n\r\nhello\r\n\r\nyou",
    forwarded: "POST /p HTTP/1.1\r\nHost: a\r\ncontent-length: 11\r\nX: y\r\n\r\nhello\r\n\r\nyo",
  },
  {
    name: "an empty body",
    sent: "PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: 000\r\n\r\n",
    forwarded: "PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
  },
  {
    name: "a chunked body with extensions and trailers",
    sent: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nX: y\r\n\r\n5;a;b=c;d="e;\\"f"\r\nhello\r\n00C\r\n, big\r\nworld\r\n0;last\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n',
    forwarded:
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n[hello, big\r\nworld]0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n",
  },
  {
    name: "HTTP/1.0 without Host",
    sent: "GET / HTTP/1.0\r\nX: y\r\n\r\n",
    forwarded: "GET / HTTP/1.1\r\nHost: <local>\r\nX: y\r\n\r\n",
  },
  {
    name: "OPTIONS *",
    sent: "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    forwarded: "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
  },
  {
    name: "an absolute target",
    sent: "GET HTTP://A.example:80/x HTTP/1.1\r\nHost: a.example:80\r\n\r\n",
    forwarded: "GET HTTP://A.example:80/x HTTP/1.1\r\nHost: a.example:80\r\n\r\n",
  },
  {
    name: "an IPv6 host",
    sent: "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n\r\n",
    forwarded: "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n\r\n",
  },
  {
    name: "a method of one's own",
    sent: "M-SEARCH!#$%&'*+.^_`|~1 /x HTTP/1.1\r\nHost: a\r\n\r\n",
    forwarded: "M-SEARCH!#$%&'*+.^_`|~1 /x HTTP/1.1\r\nHost: a\r\n\r\n",
  },
  {
    name: "fields of this hop and those that Connection names",
    sent: "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-mine, Keep-Alive\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\nX-Keep: 1\r\n\r\n",
    forwarded: "GET / HTTP/1.1\r\nHost: a\r\nX-Keep: 1\r\n\r\n",
  },
  {
    name: "the offer of trailers",
    sent: "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers, deflate;q=0.5\r\nConnection: TE\r\n\r\n",
    forwarded: "GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\n\r\n",
  },
];

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const old = "GET / HTTP/1.0\r\n\r\n";

export const goodResponses: readonly GoodResponse[] = [
  {
    name: "a body with Content-Length",
    request: get,
    sent: "HTTP/1.1 299 Odd  Reason \xe9\r\nX-B: 1\r\nx-b:2\r\nContent-Length: 7\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\nhel\r\nlo",
    passed:
      "HTTP/1.1 299 Odd  Reason \xe9\r\nX-B: 1\r\nx-b: 2\r\nContent-Length: 7\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\nhel\r\nlo",
  },
  {
    name: "an empty reason",
    request: get,
    sent: "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    passed: "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
  },
  {
    name: "no space before an empty reason",
    request: get,
    sent: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    passed: "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
  },
  {
    name: "a chunked body with extensions and trailers",
    request: get,
    sent: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nTrailer: X-T\r\n\r\n5;a="b"\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\n\r\n',
    passed: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nTrailer: X-T\r\n\r\n[hello world]0\r\nX-T: 1\r\n\r\n",
  },
  {
    name: "a chunked body for HTTP/1.0",
    request: old,
    sent: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    passed: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
  },
  {
    name: "a body until the end",
    request: get,
    sent: "HTTP/1.0 200 OK\r\nX: y\r\n\r\nhello world",
    ends: true,
    passed: "HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n[hello world]0\r\n\r\n",
  },
  {
    name: "a body until the end for HTTP/1.0",
    request: old,
    sent: "HTTP/1.0 200 OK\r\nX: y\r\n\r\nhello world",
    ends: true,
    passed: "HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\n\r\nhello world",
  },
  {
    name: "no body at all until the end",
    request: get,
    sent: "HTTP/1.1 200 OK\r\n\r\n",
    ends: true,
    passed: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  },
  {
    name: "interim responses",
    request: get,
    sent: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\nlink: </y>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    passed:
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\nlink: </y>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
  },
  {
    name: "interim responses are not for HTTP/1.0",
    request: old,
    sent: "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    passed: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
  },
  {
    name: "HEAD",
    request: "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    sent: "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
    passed: "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
  },
  {
    name: "HEAD of something chunked",
    request: "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    sent: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    passed: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
  },
  {
    name: "204",
    request: get,
    sent: "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    passed: "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
  },
  {
    name: "204 with Content-Length 0",
    request: get,
    sent: "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    passed: "HTTP/1.1 204 No Content\r\n\r\n",
  },
  {
    name: "304 with the length of what it stands for",
    request: get,
    sent: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: "x"\r\n\r\n',
    passed: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: "x"\r\n\r\n',
  },
  {
    name: "fields of this hop and those that Connection names",
    request: get,
    sent: "HTTP/1.1 200 OK\r\nConnection: close, x-mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2\r\nContent-Length: 2\r\n\r\nok",
    passed: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
  },
];

/** Replaces runs of chunks with `[content]`: where chunks begin and end is each hop's own business (RFC 9112, 7.1). */
export function withoutChunkBoundaries(message: string): string {
  const bodyStart = message.lastIndexOf("\r\n\r\n", message.search(/\r\n\r\n[0-9a-f]+\r\n/)) + 4;
  if (!/transfer-encoding: chunked\r\n/i.test(message) || bodyStart === 3) return message;
  let at = bodyStart;
  let content = "";
  for (;;) {
    const end = message.indexOf("\r\n", at);
    if (end === -1) return message;
    const size = Number.parseInt(message.slice(at, end), 16);
    if (Number.isNaN(size) || message.length < end + 4 + size) return message;
    if (size === 0) break;
    content += message.slice(end + 2, end + 2 + size);
    at = end + 4 + size;
  }
  return content === "" ? message : `${message.slice(0, bodyStart)}[${content}]${message.slice(at)}`;
}
