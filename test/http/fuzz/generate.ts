/** Seeded messages, mostly almost right: that is where parsers disagree. The same seed gives the same input. */

export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2654435761 + 0x9e3779b9) >>> 0;
  }

  /** An integer in [0, below). (mulberry32) */
  int(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  }

  chance(oneIn: number): boolean {
    return this.int(oneIn) === 0;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.int(from.length)] as T;
  }
}

const methods = [
  "GET",
  "GET",
  "POST",
  "POST",
  "PUT",
  "HEAD",
  "DELETE",
  "OPTIONS",
  "PATCH",
  "TRACE",
  "CONNECT",
  "PROPFIND",
  "M-SEARCH",
  "get",
  "PRI",
  "X",
];
const targets = [
  "/",
  "/a",
  "/a?b=c",
  "/%41/../x",
  "*",
  "http://a/",
  "http://b/x",
  "a:80",
  "/a#b",
  "//",
  "/\xe9",
  "/a b",
  "",
  "?x",
  "https://a",
  "/\x7f",
  "/a\tb",
];
const versions = [
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.0",
  "HTTP/1.2",
  "HTTP/2.0",
  "HTTP/0.9",
  "http/1.1",
  "HTTP/1.",
  "HTTP/11",
  "HTTP/1.1 ",
  "",
];
const ends = [
  "\r\n",
  "\r\n",
  "\r\n",
  "\r\n",
  "\r\n",
  "\r\n",
  "\r\n",
  "\r\n",
  "\r\n",
  "\r\n",
  "\n",
  "\r",
  "\r\r\n",
  "\n\r",
  "",
];
const hosts = ["a", "a", "a:80", "[::1]", "[::1]:8", "a b", "", "b"];
const lengths = [
  "0",
  "1",
  "3",
  "5",
  "5",
  "05",
  "+5",
  "-1",
  "5, 5",
  "5,6",
  " 5 ",
  "0x5",
  "5 5",
  "18446744073709551621",
  "99999999999999999999",
  "",
  "\t3",
  "5\x0b",
];
const codings = [
  "chunked",
  "chunked",
  "chunked",
  "Chunked",
  "chunked ",
  "\tchunked",
  "gzip, chunked",
  "chunked, gzip",
  "identity",
  "chunked, chunked",
  "chunked,",
  "xchunked",
  "chunkedx",
  "",
  "\x0bchunked",
  "chunked;a=b",
  "gzip",
];
const connections = [
  "close",
  "keep-alive",
  "Upgrade",
  "keep-alive, Upgrade",
  "close, close",
  "x",
  "TE",
  "",
  "a b",
  ",",
  "Content-Length",
  "close,",
];
const names = [
  "X-A",
  "Accept",
  "Cookie",
  "X A",
  "",
  "X-A ",
  "Content-Length ",
  "Transfer-Encoding ",
  " Content-Length",
  "Content\0Length",
  "X\xe9",
  "Content_Length",
  "Expect",
  "Upgrade",
  "Trailer",
  "Keep-Alive",
  "X:Y",
];
const values = [
  "",
  "a",
  "a b",
  " a ",
  "\ta",
  "\xe9\xff",
  "a\0b",
  "a\rb",
  "a\nb",
  "a\x7f",
  "a\x01",
  "websocket",
  "h2c",
  "100-continue",
  "a: b",
  '"a\\"b"',
  "a\r\n b",
  "a\x0b",
];
const statuses = [
  "200",
  "200",
  "200",
  "204",
  "304",
  "100",
  "103",
  "101",
  "500",
  "099",
  "2000",
  "20",
  "abc",
  "600",
  "205",
  "404",
  "199",
];
const reasons = [" OK", " OK", " ", "", " Not  OK", " \xe9", "  OK", "\tOK", " O\0K", "OK", " a\rb"];
const sizes = [
  "1",
  "3",
  "5",
  "a",
  "A",
  "05",
  "0",
  "5 ",
  " 5",
  "5;a",
  "5;a=b",
  '5;a="b;c"',
  "5; a",
  "5;",
  "5;a=",
  "0x5",
  "-1",
  "+3",
  "g",
  "",
  "ffffffffffffffff",
  "fffffffffffffffff",
  "10000000000000005",
  "5\t",
  "5;a\0",
  '5;a="',
  "0000000000000000003",
];
const noise = [
  "\r",
  "\n",
  "\0",
  " ",
  "\t",
  ":",
  ";",
  ",",
  "\x0b",
  "\x7f",
  "\xff",
  "0",
  "5",
  "a",
  "\r\n",
  "\r\n\r\n",
  "=",
  '"',
  "\\",
  "chunked",
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "HTTP/1.1 200 OK\r\n\r\n",
];
const trailers = [
  "",
  "",
  "",
  "X-T: 1\r\n",
  "X-T:1\r\nX-U: 2\r\n",
  "Content-Length: 5\r\n",
  "X : y\r\n",
  " x\r\n",
  "X\r\n",
  "X: y\n",
  "Host: b\r\n",
  "Transfer-Encoding: chunked\r\n",
];

const lineEnd = (dice: Dice): string => (dice.chance(25) ? dice.pick(ends) : "\r\n");

function fields(dice: Dice, withHost: boolean): string {
  let text = withHost && !dice.chance(12) ? `Host: ${dice.chance(4) ? dice.pick(hosts) : "a"}\r\n` : "";
  const count = dice.int(4);
  for (let i = 0; i < count; i++) {
    switch (dice.int(9)) {
      case 0:
        text += `Content-Length: ${dice.chance(4) ? dice.pick(lengths) : "5"}${lineEnd(dice)}`;
        break;
      case 1:
        text += `Transfer-Encoding: ${dice.chance(4) ? dice.pick(codings) : "chunked"}${lineEnd(dice)}`;
        break;
      case 2:
        text += `${dice.chance(2) ? "Connection" : "connection"}: ${dice.chance(2) ? dice.pick(connections) : "keep-alive"}${lineEnd(dice)}`;
        break;
      default:
        text += `${dice.chance(3) ? dice.pick(names) : "X-A"}:${dice.chance(2) ? " " : ""}${dice.chance(3) ? dice.pick(values) : "a b"}${lineEnd(dice)}`;
    }
  }
  return text;
}

function body(dice: Dice, head: string): string {
  if (/chunked/i.test(head) || dice.chance(12)) {
    let text = "";
    const count = dice.int(3);
    for (let i = 0; i < count; i++) {
      const size = dice.chance(3) ? dice.pick(sizes) : "5";
      const length = Number.parseInt(size, 16);
      text += `${size}${lineEnd(dice)}${"hello world, this is data".slice(0, dice.chance(10) || !(length < 20) ? dice.int(8) : length)}${lineEnd(dice)}`;
    }
    return dice.chance(8)
      ? text
      : `${text}0${dice.chance(8) ? dice.pick([";a", ";a=b", " ", "0", ";"]) : ""}${lineEnd(dice)}${dice.pick(trailers)}${lineEnd(dice)}`;
  }
  return /content-length/i.test(head) ? "hello".slice(0, dice.chance(6) ? dice.int(6) : 5) : "";
}

function request(dice: Dice): string {
  const method = dice.chance(3) ? dice.pick(methods) : dice.pick(["GET", "POST"]);
  const head = `${method} ${dice.chance(4) ? dice.pick(targets) : "/x"} ${dice.chance(5) ? dice.pick(versions) : "HTTP/1.1"}${lineEnd(dice)}${fields(dice, true)}${lineEnd(dice)}`;
  return head + body(dice, head);
}

function response(dice: Dice): string {
  const head = `${dice.chance(6) ? dice.pick(versions) : "HTTP/1.1"} ${dice.chance(3) ? dice.pick(statuses) : "200"}${dice.chance(3) ? dice.pick(reasons) : " OK"}${lineEnd(dice)}${fields(dice, false)}${lineEnd(dice)}`;
  return head + body(dice, head);
}

function mutate(dice: Dice, text: string): string {
  const at = dice.int(text.length + 1);
  switch (dice.int(5)) {
    case 0:
      return text.slice(0, at) + dice.pick(noise) + text.slice(at);
    case 1:
      return text.slice(0, at) + text.slice(at + 1 + dice.int(3));
    case 2:
      return text.slice(0, at) + String.fromCharCode(dice.int(256)) + text.slice(at + 1);
    case 3: {
      const length = dice.int(30);
      return text.slice(0, at + length) + text.slice(at);
    }
    default:
      return text.slice(0, at);
  }
}

/** One input, and what it is: 0 requests, 1 responses to GET until the end of the connection, 2 responses to HEAD. */
export function generate(seed: number): { kind: 0 | 1 | 2; text: string } {
  const dice = new Dice(seed);
  const kind = dice.pick([0, 0, 0, 1, 1, 2] as const);
  let text = "";
  const count = 1 + (dice.chance(3) ? dice.int(3) : 0);
  for (let i = 0; i < count; i++) text += kind === 0 ? request(dice) : response(dice);
  const mutations = dice.chance(2) ? 1 + dice.int(2) : 0;
  for (let i = 0; i < mutations; i++) text = mutate(dice, text);
  return { kind, text };
}
