/**
 * The proxies that are compared: each started as own child processes on loopback ports, one worker, the same fields
 * added.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { Certificates } from "../../harness/certificates.ts";
import { clusterNameDefault } from "../../src/control/channel/keyring.ts";
import { hostParty } from "../../src/control/channel/transcript.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { bundleFor, findRuntime, type RuntimeName } from "./runtimes.ts";

export const benchCluster = clusterNameDefault;
export const benchHost = { service: "bench", id: "a" } as const;

export interface Contender {
  readonly name: string;
  readonly port: number;
  readonly tlsPort: number;
  readonly process: ChildProcess;
  /** A second process on the way, whose CPU time counts too. */
  readonly next?: ChildProcess;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}

const nginxConfig = (folder: string, port: number, tlsPort: number, backend: number, pem: string): string => `
daemon off; master_process on; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/nginx.log crit;
events { worker_connections 4096; }
http {
  access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
  keepalive_requests 100000000; tcp_nodelay on;
  upstream backend { server 127.0.0.1:${backend}; keepalive 128; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port}; listen 127.0.0.1:${tlsPort} ssl; ssl_certificate ${pem}; ssl_certificate_key ${pem}; ssl_protocols TLSv1.2 TLSv1.3;
    client_max_body_size 0; client_body_buffer_size 64k;
    location / {
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Request-Id $request_id; proxy_buffers 16 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0;
    }
  }
}
`;

const haproxyConfig = (port: number, tlsPort: number, backend: number, pem: string): string => `
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:${port}
  bind 127.0.0.1:${tlsPort} ssl crt ${pem} alpn http/1.1
  unique-id-format %{+X}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid
  unique-id-header X-Request-Id
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  default_backend out
backend out
  server a 127.0.0.1:${backend} pool-max-conn 128
`;

/** Starts the proxies that are installed; `missing` names the others. */
export async function startContenders(
  folder: string,
  backend: number,
  pem: string,
  runtimes: readonly RuntimeName[] = [],
): Promise<{ contenders: Contender[]; missing: string[] }> {
  const contenders: Contender[] = [];
  const missing: string[] = [];
  const here = import.meta.dirname;
  const start = async (
    name: string,
    command: (port: number, tlsPort: number) => [string, ...string[]],
  ): Promise<void> => {
    const [port, tlsPort] = [await freePort(), await freePort()];
    const [program, ...args] = command(port, tlsPort);
    const child = spawn(program, args, { stdio: ["ignore", "ignore", name === "stead" ? "inherit" : "ignore"] });
    const failed = new Promise<false>((resolve) => {
      child.once("error", () => resolve(false));
      child.once("exit", () => resolve(false));
    });
    if (await Promise.race([failed, answers(port)])) contenders.push({ name, port, tlsPort, process: child });
    else missing.push(name);
  };
  const own =
    (program: string, ...more: readonly string[]) =>
    (port: number, tlsPort: number): [string, ...string[]] => [
      process.execPath,
      ...[join(here, program), String(port), String(tlsPort), String(backend), pem],
      ...more,
    ];
  await start("stead", own("stead.ts"));
  await start("nginx", (port, tlsPort) => {
    writeFileSync(join(folder, "nginx.conf"), nginxConfig(folder, port, tlsPort, backend, pem));
    return ["nginx", "-p", folder, "-c", join(folder, "nginx.conf")];
  });
  await start("haproxy", (port, tlsPort) => {
    writeFileSync(join(folder, "haproxy.cfg"), haproxyConfig(port, tlsPort, backend, pem));
    return ["haproxy", "-db", "-f", join(folder, "haproxy.cfg")];
  });
  await start("hono", own("hono.ts"));
  await start("app", own("stead.ts", "app"));
  await start("pump", own("pump.ts"));
  for (const runtime of runtimes) {
    const found = findRuntime(runtime);
    if (found === undefined) {
      missing.push(runtime);
      continue;
    }
    const [program, ...leading] = found.command;
    const script = await bundleFor(join(here, "stead.ts"), folder);
    await start(`${runtime}-${found.version}`, (port, tlsPort) => [
      program,
      ...leading,
      script,
      String(port),
      String(tlsPort),
      String(backend),
      pem,
    ]);
  }
  return { contenders, missing };
}

/** Gateway and host with clear text between them, and with mutual TLS. */
export async function startPairs(folder: string, backend: number): Promise<Contender[]> {
  const certificates = await Certificates.create(folder, systemClock);
  await certificates.issue(folder, hostParty(benchHost.service, benchHost.id), { role: "gateway", id: "bench" });
  const contenders: Contender[] = [];
  for (const [name, ...files] of [["mutual TLS", folder], ["clear text"]] as const) {
    const [port, between] = [await freePort(), await freePort()];
    const half = (role: string, ...ports: number[]): ChildProcess =>
      spawn(process.execPath, [join(import.meta.dirname, "between.ts"), role, ...ports.map(String), ...files], {
        stdio: ["ignore", "ignore", "inherit"],
      });
    const next = half("host", between, backend);
    const contender = { name, port, tlsPort: 0, process: half("gateway", port, between), next };
    contenders.push(contender);
    if (!(await answers(port))) throw new Error(`gateway and host with ${name} between them do not answer`);
  }
  return contenders;
}

async function answers(port: number): Promise<boolean> {
  for (let attempt = 0; attempt < 400; attempt++) {
    const ok = await fetch(`http://127.0.0.1:${port}/60`).then(
      (response) => response.text(),
      () => undefined,
    );
    if (ok?.length === 60) return true;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return false;
}

/** CPU time in seconds that a process and its children have used, user and system. */
export function cpuSeconds(pid: number): number {
  let ticks = 0;
  for (const each of [pid, ...childrenOf(pid)]) {
    const text = readFileSync(`/proc/${each}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / 100;
}

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .split(" ")
    .filter((part) => part !== "")
    .map(Number);
