#!/usr/bin/env bun
/**
 * The cost of replication between gateways, on a simulated network: `bun run bench:replication [--json]`.
 *
 * Two measurements. *Convergence*: 5 gateways, 10,000 registry and health changes, 20 % of messages lost, 20 %
 * repeated, all reordered; how long after the last change until all hold the same. *Cost*: 3, 10 and 50 gateways with
 * 100 hosts on a good network; messages and bytes that one gateway sends, and how long it computes, per second: quiet
 * (nothing changes), and busy (every gateway writes the health of every host once a second). The rows, exchanges and
 * their sizes are those of the program; time and transport are simulated, computing time is measured.
 */
import type { RowAnswer, RowRequest } from "../src/core/replication/exchange.ts";
import { encodeRows } from "../src/gateway/peers/wire.ts";
import { Network } from "../test/support/core/replication-network.ts";

const json = process.argv.includes("--json");
/** Head of request and answer, gateway's own part of a message, one view: measured on a real exchange. */
const fixedBytes = 520;

function sizeOf(message: RowRequest | RowAnswer): number {
  const rows = "rows" in message ? message.rows : (message.push?.rows ?? []);
  return (
    fixedBytes +
    JSON.stringify({
      vector: message.vector === undefined ? null : Object.fromEntries(message.vector),
      ...encodeRows(rows),
    }).length
  );
}

interface Convergence {
  readonly changes: number;
  readonly rows: number;
  readonly convergeMs: number;
  readonly sweeps: number;
  readonly messages: number;
  readonly bytes: number;
  readonly bytesPerChangeAndPeer: number;
  readonly computeMs: number;
}

function health(
  gateway: number,
  host: number,
  state: string,
  position: number,
): Record<string, string | number | null> {
  return {
    gateway: `g${gateway}`,
    service: "notes",
    host: `host-${host}`,
    health: state,
    cause: null,
    role: "secondary",
    instance: `host-${host}-4fa1c2d9`,
    epoch: 3,
    position,
    changed_at_ms: 1_700_000_000_000,
  };
}

function convergence(seed: number): Convergence {
  const startedAt = performance.now();
  const gateways = 5;
  const changes = 10_000;
  const network = new Network({ seed, gateways, loss: 0.2, repeat: 0.2, delayMs: { min: 1, max: 400 }, sizeOf });
  for (let number = 1; number <= changes; number++) {
    const by = network.random(gateways);
    const host = network.random(100);
    if (network.random(5) > 0)
      network.write(
        by,
        "health",
        `g${by}\nnotes\nhost-${host}`,
        health(by, host, network.random(2) === 0 ? "up" : "down", number),
      );
    else {
      const values = {
        service: "notes",
        id: `host-${host}`,
        control_url: `http://10.0.0.${host}:7800`,
        priority: number,
        nofailover: null,
        source: "operator",
      };
      network.write(by, "hosts", `notes\nhost-${host}`, values, network.random(5) === 0);
    }
    if (number % 10 === 0) network.run(10);
  }
  const convergeMs = network.converge(120_000);
  if (convergeMs === null) throw new Error(`seed ${seed}: not the same content after two minutes`);
  const { messages, bytes } = network;
  const rows = network.node(0).replica.size;
  const perPeer = Math.round(bytes / changes / (gateways - 1));
  return {
    changes,
    rows,
    convergeMs,
    sweeps: Math.ceil(convergeMs / 1_000),
    messages,
    bytes,
    bytesPerChangeAndPeer: perPeer,
    computeMs: Math.round(performance.now() - startedAt),
  };
}

interface Cost {
  readonly gateways: number;
  readonly hosts: number;
  readonly load: "quiet" | "busy";
  readonly messagesPerSecond: number;
  readonly bytesPerSecond: number;
  /** Of one core, as measured here, for one gateway. */
  readonly computePercent: number;
}

function cost(gateways: number, load: Cost["load"]): Cost {
  const hosts = 100;
  const seconds = gateways > 20 ? 3 : 10;
  const network = new Network({
    seed: 1,
    gateways,
    loss: 0,
    repeat: 0,
    delayMs: { min: 0.2, max: 2 },
    sizeOf,
    gatherMs: 100,
  });
  for (let by = 0; by < gateways; by++)
    for (let host = 0; host < hosts; host++)
      network.write(by, "health", `g${by}\nnotes\nhost-${host}`, health(by, host, "up", 0));
  network.run(3_000);
  network.resetCounts();
  const startedAt = performance.now();
  const slicesPerSecond = 20;
  for (let slice = 1; slice <= seconds * slicesPerSecond; slice++) {
    if (load === "busy") {
      for (let by = 0; by < gateways; by++) {
        for (let host = slice % slicesPerSecond; host < hosts; host += slicesPerSecond)
          network.write(by, "health", `g${by}\nnotes\nhost-${host}`, health(by, host, "up", slice));
      }
    }
    network.run(1_000 / slicesPerSecond);
  }
  const each = (total: number): number => Math.round(total / seconds / gateways);
  const computePercent = Math.round(((performance.now() - startedAt) / 10 / seconds / gateways) * 100) / 100;
  return {
    gateways,
    hosts,
    load,
    messagesPerSecond: each(network.messages),
    bytesPerSecond: each(network.bytes),
    computePercent,
  };
}

const converged = [1, 2, 3].map(convergence);
const costs = [3, 10, 50].flatMap((gateways) => (["quiet", "busy"] as const).map((load) => cost(gateways, load)));
if (json) process.stdout.write(`${JSON.stringify({ convergence: converged, cost: costs })}\n`);
else {
  process.stdout.write("5 gateways, 10,000 changes, 20 % lost, 20 % repeated, reordered:\n");
  for (const { convergeMs, sweeps, messages, bytes, rows, bytesPerChangeAndPeer } of converged) {
    process.stdout.write(
      `  the same ${rows} rows ${convergeMs} ms after the last change (${sweeps} sweeps); ${messages} messages, ${(bytes / 1e6).toFixed(1)} MB, ${bytesPerChangeAndPeer} bytes per change and peer\n`,
    );
  }
  process.stdout.write("cost of one gateway per second, 100 hosts:\n");
  for (const { gateways, load, messagesPerSecond, bytesPerSecond, computePercent } of costs) {
    process.stdout.write(
      `  ${String(gateways).padStart(2)} gateways, ${load}: ${messagesPerSecond} messages, ${(bytesPerSecond / 1e3).toFixed(0)} kB sent, ${computePercent} % of a core\n`,
    );
  }
}
