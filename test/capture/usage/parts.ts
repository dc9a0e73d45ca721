/** What the tests of usage share: a folder with an application in Python, and what the gate does. */
import { expect } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CaptureError } from "../../../src/capture/capture-error.ts";
import { type Pair, temporaryFolder } from "../../support/capture/pair.ts";
import { PythonApplication } from "./python-application.ts";

export async function begin() {
  const folder = temporaryFolder();
  const root = join(folder.path, "app");
  mkdirSync(root);
  const application = new PythonApplication();
  return {
    folder: folder.path,
    root,
    path: join(root, "app.db"),
    application,
    async [Symbol.asyncDispose]() {
      await application.kill();
      folder[Symbol.dispose]();
    },
  };
}

/** What the gate does: nothing leaves while something is ahead; and why it refuses. */
export async function refusedAtTheGate(pair: Pair): Promise<CaptureError> {
  expect(pair.source.isAhead()).toBe(true);
  try {
    while (pair.source.isAhead()) await pair.sync();
  } catch (error) {
    if (error instanceof CaptureError) return error;
    throw error;
  }
  throw new Error("it was taken for captured");
}

/** Why it is refused. */
export async function refusal(work: () => unknown): Promise<CaptureError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof CaptureError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

/** Waits for a condition; the test's own timeout is the bound. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(5);
}
