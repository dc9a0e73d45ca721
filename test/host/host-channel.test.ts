import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openHostChannel } from "../../src/host/host-channel.ts";
import { configOf } from "../support/host/fake-parts.ts";
import { ManualClock } from "../support/http/manual-clock.ts";

const [first, second] = ["the-first-secret-of-all", "the-second-secret-of-all"];
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "stead-host-channel-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a host has the cluster's present secret once its file has changed, also in its configuration", () => {
  const path = join(folder, "secret");
  const put = (text: string): void => {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  };
  put(`${first}\n`);
  const cluster = { name: "stead", acceptBearer: false, secretFrom: { kind: "file", path } } as const;
  const [config, clock] = [configOf(folder, { secret: first, cluster }), new ManualClock()];
  const channel = openHostChannel(config, clock, silent);
  expect([channel.secrets.valid, config.secret]).toEqual([[first], first]);
  put(`${second}\n`);
  clock.advance(1_000);
  expect([channel.secrets.valid, config.secret]).toEqual([[second], second]);
  channel.close();
});
