import { describe, expect, test } from "bun:test";
import { parseConfig } from "../../src/config/load.ts";

const parsed = (lines: readonly string[]) =>
  parseConfig(
    "/etc/stead/stead.toml",
    `[cluster]\nsecret = "0123456789abcdef"\n[gateway]\nid = "g"\nlisten = "0.0.0.0:8443"\ndatabase = "g.db"\n${lines.join("\n")}\n[[service]]\nname = "app"\n`,
    { env: {} },
  );
const tls = ["[gateway.tls]", 'cert = "a.pem"', 'key = "a.key"'];
const listener = (...lines: readonly string[]) => ["[[gateway.listener]]", ...lines];

const acme = (...lines: readonly string[]) => [
  ...["[gateway.tls.acme]", 'directory = "https://ca.example/dir"', 'domains = ["notes.example"]'],
  ...['folder = "acme"', "agree_terms = true", ...lines],
];
const port80 = ["[[gateway.listener]]", 'listen = "0.0.0.0:80"', 'serve = "redirect"'];

describe("certificates of an authority", () => {
  test("are one file in its folder", () => {
    const found = parsed([...acme('challenge = "tls-alpn-01"')]);
    if (found.kind !== "ok") throw new Error(JSON.stringify(found.problems));
    expect(found.config.gateway?.dataPlane.tls).toMatchObject({
      ...{ certPath: "/etc/stead/acme/certificate.pem", keyPath: "/etc/stead/acme/certificate.pem" },
      acme: { directory: "https://ca.example/dir", domains: ["notes.example"], challenge: "tls-alpn-01" },
    });
    expect(parsed([...acme(), ...port80]).kind).toBe("ok");
  });

  test.each([
    ["http-01 without port 80", acme(), "gateway.tls.acme.challenge", "0.0.0.0:80"],
    ["files too", [...tls, ...acme(), ...port80], "gateway.tls.cert", "remove"],
    [
      "terms that are not agreed to",
      acme().map((line) => line.replace("true", "false")),
      "gateway.tls.acme.agree_terms",
      "agree_terms = true",
    ],
    ["a wildcard", acme().map((line) => line.replace("notes", "*")), "gateway.tls.acme.domains", "wildcard"],
    ["clear text", acme().map((line) => line.replace("https", "http")), "gateway.tls.acme.directory", "URL"],
    ["neither files nor an authority", ["[gateway.tls]"], "gateway.tls", "authority"],
    ["a certificate without its key", ["[gateway.tls]", 'cert = "a.pem"'], "gateway.tls.cert", "key"],
  ] as const)("%s: refused", (_name, lines, key, advice) => {
    const found = parsed(lines);
    if (found.kind === "ok") throw new Error("accepted");
    expect(found.problems.map((problem) => problem.key?.replace(/\[\d+\]|\.\d+$/g, ""))).toContain(key);
    expect(found.problems.map((problem) => problem.advice).join()).toContain(advice);
  });
});

describe("listeners beside the first", () => {
  test("are plain, with TLS, or a redirect to the first that has TLS, or to the port that is named", () => {
    const found = parsed([
      ...[...tls, "http2 = true"],
      ...listener('listen = "0.0.0.0:80"', 'serve = "redirect"'),
      ...listener('listen = "[::1]:81"', 'serve = "redirect"', "https_port = 443"),
      ...listener('listen = "127.0.0.1:8080"'),
      ...listener('listen = "10.0.0.1:443"', 'serve = "tls"'),
    ]);
    if (found.kind !== "ok") throw new Error(JSON.stringify(found.problems));
    expect(found.config.gateway?.dataPlane).toMatchObject({
      ...{ http2: true, app: false },
      listeners: [
        { address: { host: "0.0.0.0", port: 80 }, serve: { kind: "redirect", port: 443 } },
        { address: { host: "::1", port: 81 }, serve: { kind: "redirect", port: 443 } },
        { address: { host: "127.0.0.1", port: 8080 }, serve: { kind: "plain" } },
        { address: { host: "10.0.0.1", port: 443 }, serve: { kind: "tls" } },
      ],
    });
    const alone = parsed([...tls, ...listener('listen = "0.0.0.0:80"', 'serve = "redirect"')]);
    if (alone.kind !== "ok") throw new Error(JSON.stringify(alone.problems));
    expect(alone.config.gateway?.dataPlane.listeners[0]?.serve).toEqual({ kind: "redirect", port: 8443 });
    const balanced = parsed(["app = true", 'proxy_protocol_from = ["10.0.0.1"]', ...tls]);
    expect(balanced.kind).toBe("ok");
    const elsewhere = parsed(listener('listen = "0.0.0.0:80"', 'serve = "redirect"', "https_port = 443"));
    expect(elsewhere.kind).toBe("ok");
  });

  test.each([
    [
      "TLS without a certificate",
      listener('listen = "0.0.0.0:443"', 'serve = "tls"'),
      "gateway.listener.serve",
      "[gateway.tls]",
    ],
    [
      "a redirect to nowhere",
      listener('listen = "0.0.0.0:80"', 'serve = "redirect"'),
      "gateway.listener.serve",
      "https_port",
    ],
    [
      "a port of https that nothing uses",
      [...tls, ...listener('listen = "0.0.0.0:80"', "https_port = 443")],
      "gateway.listener.https_port",
      "remove",
    ],
    ["an address twice", listener('listen = "0.0.0.0:8443"'), "gateway.listener.listen", "port"],
  ] as const)("%s is refused", (_name, lines, key, advice) => {
    const found = parsed(lines);
    if (found.kind === "ok") throw new Error("accepted");
    expect(found.problems.map((problem) => problem.key?.replace(/[\d[\].]+(?=\.)/g, ""))).toEqual([key]);
    expect(found.problems[0]?.advice).toContain(advice);
  });
});
