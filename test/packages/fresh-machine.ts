/**
 * A fresh Debian machine that has booted: systemd as the first process, in namespaces on a root of its own. The root is
 * a layer over one that debootstrap makes once (.bun/debian-…, about a minute), with nothing that Debian's smallest
 * system does not have. Needs root, Linux with overlayfs, and Debian's debootstrap; `missingForMachines` says what is
 * not here.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { waitFor } from "../support/http/raw-client.ts";
import { type ProgramRun, runProgram } from "../support/run-program.ts";

const suite = "bookworm";
/** What a machine has beside Debian's smallest system and systemd. */
export type Base = "plain" | "cloud-init";
const baseOf = (base: Base): string =>
  join(import.meta.dirname, "../../.bun", `debian-${suite}${base === "plain" ? "" : `-${base}`}`);
const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" };

/** Undefined: machines can be booted here. */
export function missingForMachines(base: Base = "plain"): string | undefined {
  if (process.geteuid?.() !== 0) return "root";
  if (!existsSync(baseOf(base)) && Bun.which("debootstrap") === null)
    return "debootstrap (Debian's package debootstrap)";
  if (!readFileSync("/proc/filesystems", "utf8").includes("\toverlay\n")) return "overlayfs";
  if (spawnSync("unshare", ["-m", "-p", "-f", "-n", "-C", "true"]).status !== 0) return "namespaces (unshare)";
  return undefined;
}

/** Makes the root that all machines have below their own. */
export async function makeBase(base: Base = "plain"): Promise<void> {
  if (existsSync(baseOf(base))) return;
  const making = `${baseOf(base)}.${process.pid}`;
  if (base === "plain") {
    await succeed("debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus", suite, making);
  } else {
    await makeBase();
    await succeed("cp", "--archive", baseOf("plain"), making);
    const install = `apt-get update -qq && apt-get install -y -qq --no-install-recommends ${base} && apt-get clean`;
    await succeed("chroot", making, "env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", install);
  }
  renameSync(making, baseOf(base));
}

async function succeed(program: string, ...args: readonly string[]): Promise<void> {
  const { code, out, err } = await runProgram(program, args, { cwd: "/", env });
  if (code !== 0) throw new Error(`${program} failed:\n${out.slice(-2000)}${err}`);
}

interface MachineOptions {
  readonly name: string;
  /** For its files. */
  readonly folder: string;
  /** A folder of this machine that it has at /mnt/vault, as a share that is mounted. */
  readonly share: string;
  readonly base?: Base;
  /** Path to content, written before it boots. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
}

interface NetworkEnd {
  readonly machine: FreshMachine;
  readonly address: string;
}

export class FreshMachine {
  readonly #child: ChildProcess;
  readonly #first: string;
  readonly #root: string;
  readonly #cgroup: string;

  private constructor(child: ChildProcess, first: string, root: string, cgroup: string) {
    this.#child = child;
    this.#first = first;
    this.#root = root;
    this.#cgroup = cgroup;
  }

  static async boot({ name, folder, share, base = "plain", files = {} }: MachineOptions): Promise<FreshMachine> {
    const [upper, work, root] = ["upper", "work", "root"].map((each) => join(folder, name, each));
    for (const each of [upper, work, root]) mkdirSync(each ?? "", { recursive: true });
    mount("-t", "overlay", "-o", `lowerdir=${baseOf(base)},upperdir=${upper},workdir=${work}`, "overlay", root ?? "");
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(root ?? "", path)), { recursive: true });
      writeFileSync(join(root ?? "", path), content);
    }
    const cgroup = `stead-fresh-${process.pid}-${name}`;
    const script = join(import.meta.dirname, "boot.sh");
    const child = spawn("sh", [script, root ?? "", cgroup, share, "/mnt/vault"], { env, stdio: "ignore" });
    const children = `/proc/${child.pid}/task/${child.pid}/children`;
    // The shell becomes `unshare`, whose one child is systemd.
    const isUnshare = (): boolean => readFileSync(`/proc/${child.pid}/comm`, "utf8") === "unshare\n";
    await waitFor(
      () => isUnshare() && readFileSync(children, "utf8").trim() !== "",
      () => "systemd did not start",
      20_000,
    );
    const machine = new FreshMachine(child, readFileSync(children, "utf8").trim(), root ?? "", cgroup);
    try {
      await machine.#whenBooted();
    } catch (error) {
      await machine.kill();
      throw error;
    }
    return machine;
  }

  /** Joins the networks of two machines by a cable. */
  static connect(one: NetworkEnd, two: NetworkEnd): void {
    const [{ machine: near }, { machine: far }] = [one, two];
    command("ip", "link", "add", "lan0", "netns", near.#first, "type", "veth", "peer", "lan0", "netns", far.#first);
    for (const { machine, address } of [one, two]) {
      const inNetwork = ["nsenter", "-t", machine.#first, "-n", "ip"] as const;
      command(...inNetwork, "address", "add", `${address}/24`, "dev", "lan0");
      command(...inNetwork, "link", "set", "lan0", "up");
    }
  }

  /** Joins the networks of several machines: the first one's has the bridge. */
  static join(ends: readonly [NetworkEnd, ...NetworkEnd[]]): void {
    const [{ machine: hub }] = ends;
    const inNetwork = (machine: FreshMachine) => ["nsenter", "-t", machine.#first, "-n", "ip"] as const;
    command(...inNetwork(hub), "link", "add", "lan0", "type", "bridge");
    for (const [at, { machine, address }] of ends.entries()) {
      if (machine !== hub) {
        const port = `port${at}`;
        command(
          "ip",
          "link",
          "add",
          "lan0",
          "netns",
          machine.#first,
          "type",
          "veth",
          "peer",
          port,
          "netns",
          hub.#first,
        );
        command(...inNetwork(hub), "link", "set", port, "master", "lan0", "up");
      }
      command(...inNetwork(machine), "address", "add", `${address}/24`, "dev", "lan0");
      command(...inNetwork(machine), "link", "set", "lan0", "up");
    }
  }

  /** Runs a line of a shell there, as root. */
  run(line: string): Promise<ProgramRun> {
    const inside = ["-t", this.#first, "--all", "env", "-i", ...variables, "sh", "-c", `cd /root && ${line}`];
    return runProgram("nsenter", inside, { cwd: "/", env });
  }

  /** Runs a program of this machine in the network of that one. */
  inNetwork(...program: readonly string[]): Promise<ProgramRun> {
    return runProgram("nsenter", ["-t", this.#first, "--net", ...program], { cwd: "/", env });
  }

  /** A path of that machine as one of this. */
  path(inside: string): string {
    return join(this.#root, inside);
  }

  async #whenBooted(): Promise<void> {
    for (let state = ""; state !== "running"; ) {
      state = (await this.run("systemctl is-system-running --wait")).out.trim();
      if (state === "degraded") throw new Error((await this.run("systemctl --failed --no-pager")).out);
    }
  }

  async kill(): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
    await waitFor(() => !existsSync(`/proc/${this.#first}`));
    command("umount", this.#root);
    for (const each of cgroupsOf(this.#cgroup)) removeGroups(each);
  }
}

const variables = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "DEBIAN_FRONTEND=noninteractive"];

const mount = (...args: readonly string[]): void => command("mount", ...args);

function command(program: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8", env });
  if (status !== 0) throw new Error(`${[program, ...args].join(" ")}: ${stderr}`);
}

const cgroupsOf = (name: string): string[] =>
  readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, , type]) => type === "cgroup" || type === "cgroup2")
    .map(([, at = ""]) => join(at, name))
    .filter((path) => existsSync(path));

function removeGroups(path: string): void {
  for (const each of readdirSync(path, { withFileTypes: true })) {
    if (each.isDirectory()) removeGroups(join(path, each.name));
  }
  rmdirSync(path);
}

export function removeMachines(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
