/**
 * Containers of a compose file by runc, in a network of namespaces. The image of stead is stood in for by this
 * repository and the Bun that runs the tests, on this machine's libraries (the image itself is tried in
 * test/packages/image.test.ts); user, root, capabilities, volumes, secrets and command are the file's.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type ProgramRun, runProgram } from "../support/run-program.ts";
import type { ComposeFile, ComposeService } from "./compose-file.ts";
import type { Lan } from "./lan.ts";

/** Of the image: scripts/packaging/image.ts. */
const imageUser = 65_532;
const imageCommand = ["gateway", "/etc/stead/stead.toml"];
const repository = join(import.meta.dirname, "../..");
/** What `/usr/bin/stead` is in these containers. */
export const steadInside = ["/bun", "/stead/src/main.ts"] as const;
const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };

interface Place {
  readonly lan: Lan;
  /** Of the compose file and what it names. */
  readonly source: string;
  /** For roots, volumes and logs. */
  readonly folder: string;
  /** Lines of /etc/hosts. */
  readonly hosts: string;
}

export class Containers {
  readonly #file: ComposeFile;
  readonly #place: Place;
  readonly #running = new Map<string, ChildProcess>();

  constructor(file: ComposeFile, place: Place) {
    this.#file = file;
    this.#place = place;
  }

  /** Starts the container of a service. */
  up(name: string): void {
    const bundle = this.#bundle(name);
    const log = openSync(join(this.#place.folder, `${name}.log`), "a");
    const args = [...this.#runcArgs, "run", "--bundle", bundle, this.#idOf(name)];
    this.#running.set(name, spawn("runc", args, { env, stdio: ["ignore", log, log] }));
    closeSync(log);
  }

  /** Runs it to its end; returns its exit code. */
  async completed(name: string): Promise<number | null> {
    this.up(name);
    const [code] = (await once(this.#running.get(name) as ChildProcess, "exit")) as [number | null];
    this.#running.delete(name);
    return code;
  }

  async kill(name: string): Promise<void> {
    const child = this.#running.get(name);
    if (child === undefined) return;
    this.#running.delete(name);
    // A host whose vault was killed before it may have ended by itself.
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    await this.#runc("kill", this.#idOf(name), "KILL");
    await ended;
  }

  /** Runs stead in the container of a service. */
  exec(name: string, ...args: readonly string[]): Promise<ProgramRun> {
    return this.#runc("exec", this.#idOf(name), ...steadInside, ...args);
  }

  async close(): Promise<void> {
    for (const name of [...this.#running.keys()]) await this.kill(name);
  }

  get #runcArgs(): string[] {
    return ["--root", join(this.#place.folder, "runc")];
  }

  #runc(...args: readonly string[]): Promise<ProgramRun> {
    return runProgram("runc", [...this.#runcArgs, ...args], { cwd: "/", env });
  }

  #idOf(name: string): string {
    return this.#place.lan.namespaceOf(name);
  }

  /** Writes what runc reads. What a container wrote outside of its volumes before is gone. */
  #bundle(name: string): string {
    const service = this.#file.services[name];
    if (service === undefined) throw new Error(`no service ${name}`);
    const bundle = join(this.#place.folder, "bundles", name);
    const root = join(bundle, "rootfs");
    rmSync(root, { recursive: true, force: true });
    for (const each of ["usr", "etc/stead", "var/lib/stead", "run/secrets", "proc", "sys", "dev", "tmp", "stead"])
      mkdirSync(join(root, each), { recursive: true });
    // The image of stead has no shell; one that is built on Debian's has.
    if (service.build !== undefined) symlinkSync("usr/bin", join(root, "bin"));
    writeFileSync(join(root, "etc/hosts"), this.#place.hosts);
    writeFileSync(join(root, "etc/nsswitch.conf"), "hosts: files\n");
    writeFileSync(join(root, "etc/passwd"), `stead:x:${imageUser}:${imageUser}:stead:/var/lib/stead:/none\n`);
    writeFileSync(join(bundle, "config.json"), JSON.stringify(this.#config(name, service)));
    return bundle;
  }

  #config(name: string, service: ComposeService): object {
    const system = (destination: string, type: string, options: readonly string[] = []) => ({
      ...{ destination, type, source: type, options: ["nosuid", "noexec", ...options] },
    });
    const libraries = ["/lib", "/lib64"].filter((path) => existsSync(path));
    return {
      ociVersion: "1.0.2",
      hostname: name,
      process: {
        user: { uid: imageUser, gid: imageUser },
        args: [...steadInside, ...(service.command ?? imageCommand)],
        cwd: "/var/lib/stead",
        env: ["PATH=/usr/bin", "HOME=/var/lib/stead", "STEAD_TMP=/var/lib/stead"],
        capabilities: {},
        noNewPrivileges: service.security_opt !== undefined,
      },
      root: { path: "rootfs", readonly: service.read_only },
      mounts: [
        system("/proc", "proc"),
        system("/dev", "tmpfs", ["mode=755", "size=64k"]),
        system("/dev/shm", "tmpfs", ["mode=1777", "size=64m"]),
        ...[...libraries, "/usr"].map((path) => bind(path, realpathSync(path), ["ro"])),
        bind("/stead", repository, ["ro"]),
        bind("/bun", realpathSync(process.execPath), ["ro"]),
        ...service.volumes.map((volume) => this.#volume(volume)),
        ...service.secrets.map((secret) => {
          const path = this.#file.secrets[secret]?.file ?? "";
          return bind(`/run/secrets/${secret}`, resolve(this.#place.source, path), ["ro"]);
        }),
      ],
      linux: {
        namespaces: [
          ...["pid", "mount", "uts", "ipc"].map((type) => ({ type })),
          { type: "network", path: `/run/netns/${this.#place.lan.namespaceOf(name)}` },
        ],
      },
    };
  }

  /** A named volume belongs to the user that the image's folder there belongs to, as an engine makes it. */
  #volume(volume: string): object {
    const [source = "", destination = "", mode] = volume.split(":");
    if (source.startsWith("."))
      return bind(destination, resolve(this.#place.source, source), mode === "ro" ? ["ro"] : []);
    const path = join(this.#place.folder, "volumes", source);
    if (!existsSync(path)) {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      chownSync(path, imageUser, imageUser);
    }
    return bind(destination, path, []);
  }
}

const bind = (destination: string, source: string, options: readonly string[]): object => ({
  ...{ destination, type: "bind", source, options: ["rbind", ...options] },
});

/** Gives a file to the image's user, as the README's commands do. */
export function ownedByImage(path: string): void {
  if (existsSync(dirname(path))) chownSync(path, imageUser, imageUser);
}
