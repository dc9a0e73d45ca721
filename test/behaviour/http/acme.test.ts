/** Certificates of [gateway.tls.acme], issued by Pebble to whole gateways. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import type { AcmeConfig } from "../../../src/config/acme-config.ts";
import type { GatewayConfig } from "../../../src/config/types.ts";
import type { Gateway } from "../../../src/gateway/gateway.ts";
import { lookMsMax } from "../../../src/gateway/acme/certificate-orders.ts";
import { type Clock, systemClock } from "../../../src/runtime/clock.ts";
import { freePorts } from "../../../src/runtime/free-ports.ts";
import { hasPebble, Pebble, withoutPebble } from "../../support/acme/pebble.ts";
import { defaultDataPlane } from "../../support/config/data-plane.ts";
import { TestCluster, testLimits, until } from "../../support/gateway/cluster.ts";
import { exchange } from "../../support/http/raw-client.ts";

if (!hasPebble) console.log(withoutPebble);

let cluster: TestCluster;
let pebble: Pebble | undefined;
let ports: { readonly http: number; readonly tls: number };
beforeEach(async () => {
  cluster = new TestCluster();
  const [http = 0, tls = 0] = await freePorts(2);
  ports = { http, tls };
});
afterEach(async () => {
  await cluster.stop();
  await pebble?.[Symbol.asyncDispose]();
  pebble = undefined;
});

const domains = ["notes.example", "www.notes.example"];
const folder = (): string => join(cluster.folder, "acme");

function withAcme(acme: Partial<AcmeConfig>): Partial<GatewayConfig> {
  const path = join(acme.folder ?? folder(), "certificate.pem");
  const { directory = "", caPath } = pebble ?? {};
  return {
    listen: { host: "127.0.0.1", port: ports.tls },
    limits: testLimits,
    dataPlane: {
      ...defaultDataPlane,
      tls: {
        ...{ certPath: path, keyPath: path, names: [] },
        acme: {
          directory,
          domains,
          challenge: "http-01",
          folder: folder(),
          caPath,
          email: "ops@notes.example",
          ...acme,
        },
      },
      listeners: [{ address: { host: "127.0.0.1", port: ports.http }, serve: { kind: "redirect", port: ports.tls } }],
    },
  };
}

interface Shown {
  readonly issuer: string;
  readonly names: string;
  readonly serial: string;
}

function shown(port: number): Promise<Shown> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      { port, host: "127.0.0.1", servername: "notes.example", rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] },
      () => {
        const { issuer, subjectaltname = "", serialNumber } = socket.getPeerCertificate();
        socket.destroy();
        resolve({ issuer: String(issuer.CN), names: subjectaltname, serial: serialNumber });
      },
    );
    socket.on("error", reject);
  });
}

const isIssued = async (): Promise<Shown | undefined> => {
  const found = await shown(ports.tls);
  return found.issuer.startsWith("Pebble") ? found : undefined;
};

describe.skipIf(!hasPebble)("an authority", () => {
  test.each(["http-01", "tls-alpn-01"] as const)(
    "issues a certificate by %s, which is used at once, private, and kept",
    async (challenge) => {
      pebble = await Pebble.start(cluster.folder, ports);
      await cluster.addHost("a");
      const gateway = await cluster.startGateway(withAcme({ challenge }));
      expect((await shown(ports.tls)).issuer).toContain("no certificate has been issued");
      const first = await until(isIssued);
      expect(first.names).toBe("DNS:notes.example, DNS:www.notes.example");
      expect(gateway.status().troubles).toEqual([]);
      for (const name of ["account.key", "certificate.pem"])
        expect((statSync(join(folder(), name)).mode & 0o777).toString(8)).toBe("600");
      expect(readdirSync(join(folder(), "challenges"))).toEqual([]);
      expect((await gateway.metrics.text()).includes('stead_certificate_orders_total{result="issued"} 1')).toBe(true);
      expect(gateway.status().troubles).toEqual([]);
    },
    120_000,
  );

  test("a certificate of which a third is left is renewed, and connections stay", async () => {
    pebble = await Pebble.start(cluster.folder, ports, { nonceRejectPercent: 40 });
    await cluster.addHost("a");
    let passedMs = 0;
    const clock: Clock = {
      ...systemClock,
      wallTime: () => systemClock.wallTime() + passedMs,
      setTimer: (ms, callback) => systemClock.setTimer(ms === lookMsMax ? 20 : ms, callback),
    };
    const gateway = await cluster.startGateway(withAcme({}), { clock });
    await cluster.serving();
    const first = await until(isIssued);
    const open = connect({ port: ports.tls, host: "127.0.0.1", rejectUnauthorized: false });
    let received = "";
    open.on("data", (chunk: Buffer) => (received += chunk.toString()));
    open.on("error", () => undefined); // at the end of the test
    open.write("GET / HTTP/1.1\r\nHost: notes.example\r\n\r\n");
    await until(() => received.includes("200 OK"));
    passedMs = 4 * 365 * 86_400_000; // of five years
    const second = await until(async () => {
      const found = await isIssued();
      return found?.serial !== first.serial && found;
    });
    expect(second.names).toBe(first.names);
    received = "";
    open.write("GET / HTTP/1.1\r\nHost: notes.example\r\n\r\n");
    await until(() => received.includes("200 OK"));
    open.destroy();
    expect((await gateway.metrics.text()).includes('stead_certificate_orders_total{result="issued"} 2')).toBe(true);
  }, 120_000);

  test("a refusal is told with the authority's words, and the next attempt waits, also of another process", async () => {
    // Names lead to a port where no gateway answers.
    const [nowhere = 0] = await freePorts(1);
    pebble = await Pebble.start(cluster.folder, { http: nowhere, tls: nowhere });
    await cluster.addHost("a");
    const gateway = await cluster.startGateway(withAcme({}));
    const told = await until(() => gateway.status().troubles.find((text) => text.includes("was not issued")));
    expect(told).toMatch(/http-01 of (?:www\.)?notes\.example is invalid: connection: /);
    expect(told).toContain("the next attempt is at");
    expect(readdirSync(join(folder(), "challenges"))).toEqual([]);
    const text = readFileSync(join(folder(), "attempt.json"), "utf8");
    expect(JSON.parse(text)).toMatchObject({ failures: 1 });
    await gateway.close(0);
    const again = await cluster.startGateway(withAcme({}));
    await until(() => again.status().services.length > 0);
    expect(readFileSync(join(folder(), "attempt.json"), "utf8")).toBe(text);
    expect((await again.metrics.text()).includes('stead_certificate_orders_total{result="refused"}')).toBe(false);
  }, 120_000);

  test.each(["http-01", "tls-alpn-01"] as const)(
    "an authority that asks another gateway than the one that orders is answered, by %s",
    async (challenge) => {
      const [http = 0, tls = 0, ...admin] = await freePorts(4);
      // Both names lead to the second gateway alone.
      pebble = await Pebble.start(cluster.folder, { http, tls });
      await cluster.addHost("a");
      const urls = admin.map((port) => `http://127.0.0.1:${port}`);
      const start = (index: number, own: Partial<GatewayConfig>): Promise<Gateway> =>
        cluster.startGateway({
          ...own,
          ...{ id: `g${index}`, databasePath: join(cluster.folder, `g${index}.db`), peers: urls },
          ...{ adminListen: { host: "127.0.0.1", port: admin[index] ?? 0 }, adminUrl: urls[index] ?? "" },
        });
      ports = { http, tls };
      const second = await start(1, withAcme({ challenge, folder: join(cluster.folder, "other") }));
      const issued = await until(isIssued);
      ports = { http: 0, tls: 0 };
      const ordering = await start(0, { ...withAcme({ challenge }), listen: { host: "127.0.0.1", port: 0 } });
      ports = { http: 0, tls: ordering.port };
      const own = await until(isIssued);
      expect(own.serial).not.toBe(issued.serial);
      await second.close(0);
    },
    120_000,
  );

  test("requests that are no challenge are redirected as ever", async () => {
    pebble = await Pebble.start(cluster.folder, ports);
    await cluster.addHost("a");
    await cluster.startGateway(withAcme({}));
    await until(isIssued);
    writeFileSync(join(folder(), "challenges", "http-01 known"), "known.thumbprint");
    const get = (path: string): Promise<string> =>
      exchange(ports.http, `GET ${path} HTTP/1.1\r\nHost: notes.example\r\nConnection: close\r\n\r\n`);
    expect(await get("/.well-known/acme-challenge/known")).toEndWith("\r\n\r\nknown.thumbprint");
    for (const other of ["unknown", "..%2faccount.key", "../../account.key", ""])
      expect(await get(`/.well-known/acme-challenge/${other}`)).toStartWith("HTTP/1.1 308 ");
  }, 120_000);
});
