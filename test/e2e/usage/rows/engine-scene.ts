/**
 * One host and a gateway with the application of an engine, in which all of its uses that end nothing come one after
 * the other.
 */
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import type { HostStatus } from "../../../../src/control/host-status.ts";
import type { HostMember } from "../../../../harness/cluster.ts";
import { runStead } from "../../harness.ts";
import type { Action, Engine } from "../engine-actions.ts";
import { Scene, type SceneOptions } from "../scene.ts";
import { Restored } from "./restored.ts";

const databases = ["*.db", "*-*"];

/** A checkpoint of everything may be in the way meanwhile. */
const withinMs = 60_000;

export class EngineScene {
  /** What was acknowledged of the application's own database, in order. */
  readonly acknowledged: number[] = [];
  readonly #scene: Scene;
  readonly #host: HostMember;
  #next = 1;

  private constructor(scene: Scene, host: HostMember) {
    this.#scene = scene;
    this.#host = host;
  }

  static async open({ command }: Engine, options: Pick<SceneOptions, "host" | "program"> = {}): Promise<EngineScene> {
    const scene = await Scene.open({ hosts: 1, databases, command, ...options });
    const here = new EngineScene(scene, await scene.primary());
    await here.openOwn();
    await here.must([{ exec: "CREATE TABLE t(v)" }]);
    return here;
  }

  /** The application's own database, `app.db`, by the connection `main`. */
  async openOwn(): Promise<void> {
    await this.must([{ open: "app.db" }, { exec: "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL" }]);
  }

  run(actions: readonly Action[]): Promise<{ readonly status: number; readonly result: unknown }> {
    return this.#scene.run(JSON.stringify(actions));
  }

  /** The same; throws unless it was acknowledged. */
  async must(actions: readonly Action[]): Promise<unknown> {
    const { status, result } = await this.run(actions);
    if (status !== 200)
      throw new Error(`${status} ${JSON.stringify(result)} to ${JSON.stringify(actions).slice(0, 200)}`);
    return result;
  }

  /** What the host and the gateway logged last. */
  logs(): string {
    return this.#scene.cluster.logTails();
  }

  /** A commit into the application's own database. */
  async commit(): Promise<void> {
    const value = this.#next++;
    await this.must([{ exec: `INSERT INTO t VALUES (${value})` }]);
    this.acknowledged.push(value);
  }

  /** Of a name in the data folder, whose characters are bytes. */
  path(name: string): Buffer {
    return Buffer.from(`${join(this.#host.folder, "data")}/${name}`, "latin1");
  }

  async status(): Promise<HostStatus> {
    const answers: HostStatus[] = [];
    await this.until("the host to answer", async () => {
      const status = await this.#scene.cluster.statusOf(this.#host);
      if (status !== undefined) answers.push(status);
      return status !== undefined;
    });
    return answers[0] as HostStatus;
  }

  /** Until the host says that answers wait for it. */
  untilHeld(name: string): Promise<void> {
    return this.until(`${name} to be held`, async () => {
      const answer = await this.#scene.cluster.clientOf(this.#host).databases();
      return (
        answer.kind === "ok" &&
        answer.value.databases.some((entry) => entry.name === name && entry.condition === "held")
      );
    });
  }

  /** Waits for the checkpoint that is being written, or has one written. */
  async checkpoint(): Promise<void> {
    const answer = await this.#scene.cluster.clientOf(this.#host).checkpoint();
    if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
  }

  until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
    return this.#scene.until(what, async () => holds(), withinMs);
  }

  /** Until the file has something else than zeros there. Read in this process, which has no lock on it. */
  untilWritten(name: string, at: number): Promise<void> {
    return this.until(`${name} to be written`, () => this.bytes(name, at, 64).some((byte) => byte !== 0));
  }

  bytes(name: string, at: number, length: number): Buffer {
    const content = Buffer.alloc(length);
    const descriptor = openSync(this.path(name), "r");
    readSync(descriptor, content, 0, length, at);
    closeSync(descriptor);
    return content;
  }

  isThere(name: string): boolean {
    return existsSync(this.path(name));
  }

  size(name: string): number {
    return statSync(this.path(name)).size;
  }

  /** The host with its whole group is gone; what `untilCut` does is cut off by that. Then what the vault has. */
  async kill(untilCut: Promise<unknown>): Promise<Restored> {
    this.#host.process?.signal("SIGKILL");
    await Promise.all([this.#host.process?.ended, untilCut]);
    const folder = this.#scene.bench.folder;
    const verified = await runStead(["vault", "verify", join(folder, "vault")]);
    if (verified.code !== 0) throw new Error(verified.stdout + verified.stderr);
    const restored = await runStead(["vault", "restore", join(folder, "vault"), "--to", join(folder, "restored")]);
    if (restored.code !== 0) throw new Error(restored.stdout + restored.stderr);
    return new Restored(join(folder, "restored"));
  }

  close(): Promise<void> {
    return this.#scene.close();
  }
}
