/**
 * `bun run bench:streams`: the cost of idle event streams in a switchover. A cluster at default settings (three hosts,
 * one gateway) whose application stops gracefully, which means that it waits for its connections; clients beside ask
 * without a pause. In turns, a switchover without any stream and one with `--streams N` (1000) of them open and silent,
 * `--repetitions N` (5) of each.
 *
 * A gap is the longest time without a good answer to any client beside. The last line with --json:
 * {"bench":"streams","streams":N,"repetitions":N,
 * "without_ms":{"p50","max"},"with_ms":{"p50","max"},"ratio":N,"failed":N}; `ratio` is of the medians. Exit code 1 when
 * a request failed, or when the longest gap with streams is not below the goal of 1,000 ms.
 */
import type { Socket } from "node:net";
import { SuccessMeter } from "../harness/gap.ts";
import { systemClock as clock } from "../src/runtime/clock.ts";
import { Stage } from "../test/e2e/misbehaviour/stage.ts";
import { open } from "../test/e2e/raw-load.ts";
import { median, parseBenchArguments, rounded } from "./bench-support.ts";

const goalMs = 1_000;
const clients = 8;
/** Around the switchover. */
const beforeMs = 300;
const afterMs = 500;
/** Connections that are made at a time. */
const openedAtOnce = 50;

const { streams: count, repetitions, json } = parseBenchArguments({ streams: 1_000, repetitions: 5 });
const say = (line: string): void => void (json ? process.stderr : process.stdout).write(`${line}\n`);
const meter = new SuccessMeter();
const failures: string[] = [];
const stage = await Stage.open({ gateway: "", host: "" });
try {
  await measure();
} finally {
  await stage.close();
}

async function measure(): Promise<void> {
  let goesOn = true;
  const beside = Array.from({ length: clients }, async () => {
    while (goesOn) await ask();
  });
  const gaps = { without: [] as number[], with: [] as number[] };
  for (let turn = 1; turn <= repetitions; turn += 1) {
    gaps.without.push(await switchover());
    const streams = await openStreams();
    gaps.with.push(await switchover());
    for (const stream of streams) stream.destroy();
    say(
      `${turn}: ${gaps.without.at(-1)?.toFixed(0)} ms without, ${gaps.with.at(-1)?.toFixed(0)} ms with ${count} streams`,
    );
  }
  goesOn = false;
  await Promise.all(beside);
  const figures = (values: readonly number[]) => ({
    p50: rounded(median(values), 1),
    max: rounded(Math.max(...values), 1),
  });
  const found = {
    without_ms: figures(gaps.without),
    with_ms: figures(gaps.with),
    ratio: rounded(median(gaps.with) / median(gaps.without)),
    failed: failures.length,
  };
  for (const failure of failures.slice(0, 10)) say(`  failed: ${failure}`);
  const isGood = found.failed === 0 && found.with_ms.max < goalMs;
  say(
    `${isGood ? "good" : "NOT GOOD"}: p50 ${found.with_ms.p50} ms with ${count} idle streams, ${found.without_ms.p50} ms without (${found.ratio}x), max ${found.with_ms.max} ms (goal below ${goalMs})`,
  );
  if (json) process.stdout.write(`${JSON.stringify({ bench: "streams", streams: count, repetitions, ...found })}\n`);
  process.exitCode = isGood ? 0 : 1;
}

async function ask(): Promise<void> {
  const { status, text } = await stage.ask("GET", "/ping");
  if (status === 200) meter.success(clock.now());
  else failures.push(`${status} ${text.trim()}`);
}

/** The clients' gap. */
async function switchover(): Promise<number> {
  await stage.whole();
  await clock.sleep(beforeMs);
  const startedAt = clock.now();
  const answer = await stage.admin().switchover({});
  if (answer.kind !== "ok") throw new Error(`the switchover was refused: ${JSON.stringify(answer)}`);
  await clock.sleep(afterMs);
  return meter.longestGap(startedAt, clock.now()).ms;
}

/** All of them have had the head of their answer. */
async function openStreams(): Promise<readonly Socket[]> {
  const port = Number(new URL(stage.gateway.url).port);
  const opened: Socket[] = [];
  while (opened.length < count) {
    const batch = await Promise.all(
      Array.from({ length: Math.min(openedAtOnce, count - opened.length) }, () => open(port)),
    );
    await Promise.all(
      batch.map(
        (socket) =>
          new Promise<void>((resolve) => {
            socket.once("data", () => resolve());
            socket.on("error", () => undefined);
            socket.write("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
          }),
      ),
    );
    opened.push(...batch);
  }
  return opened;
}
