/**
 * The image in a container as engines make one: umoci unpacks it, which verifies its digests, and runc starts it with
 * namespaces of its own, no capabilities, a read-only root, and a volume for what it writes. The gateway starts as the
 * image says, and the health check of the image asks it.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { once } from "node:events";
import { spawn } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debianFiles, hasApt } from "../../scripts/packaging/debian-files.ts";
import { buildExecutable } from "../../scripts/packaging/executable.ts";
import { image } from "../../scripts/packaging/image.ts";
import { nativeTarget } from "../../scripts/lib/libsql-plugin.ts";
import { runProgram } from "../support/run-program.ts";

setDefaultTimeout(60_000);

const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" };
const missing = missingForContainers();
if (missing !== undefined) console.log(`the image is not tested: this needs ${missing}`);

function missingForContainers(): string | undefined {
  if (process.geteuid?.() !== 0) return "root";
  if (!/^bun-linux-(?:x64|arm64)$/.test(nativeTarget())) return "Linux with glibc";
  if (!hasApt()) return "apt-get and dpkg-deb";
  return ["umoci", "runc"].find((program) => Bun.which(program, env) === null);
}

/** Of an image, by its specification; what runs it has more. */
interface ImageConfig {
  readonly config: {
    readonly User: string;
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
    readonly Healthcheck: { readonly Test: readonly string[] };
  };
}

/** Of a container: umoci writes it from the image's. */
interface Container {
  readonly process: {
    terminal: boolean;
    args: string[];
    readonly user: { readonly uid: number; readonly gid: number };
  };
  readonly root: { readonly path: string; readonly readonly?: boolean };
  readonly mounts: readonly { readonly destination: string }[];
}

let folder = "";
let settings: ImageConfig["config"];
let unpacked: Container;

const json = (path: string): unknown => JSON.parse(readFileSync(join(folder, path), "utf8"));

async function succeed(program: string, ...args: readonly string[]): Promise<string> {
  const { code, out, err } = await runProgram(program, args, { cwd: folder, env });
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: ${out}${err}`);
  return out;
}

beforeAll(async () => {
  if (missing !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "stead-image-"));
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const executable = join(folder, "stead");
  await buildExecutable({ target: nativeTarget(), outfile: executable, commit: "" });
  const debian = await debianFiles(architecture, folder);
  const made = image({
    ...{ architecture, version: "1.2.3", commit: "abc", executable: readFileSync(executable), debian },
    timeSeconds: 1_700_000_000,
  });
  writeFileSync(join(folder, "image.tar"), made);
  mkdirSync(join(folder, "image"));
  chmodSync(folder, 0o755);
  await succeed("tar", "-xf", "image.tar", "-C", "image");
  await succeed("umoci", "unpack", "--image", "image:1.2.3", "bundle");
  const [docker] = json("image/manifest.json") as [{ readonly Config: string }];
  settings = (json(join("image", docker.Config)) as ImageConfig).config;
  unpacked = json("bundle/config.json") as Container;
}, 180_000);
afterAll(() => {
  if (folder !== "") rmSync(folder, { recursive: true, force: true });
});

/** A volume is what an engine mounts over the folder that the image names as one. */
interface Made {
  readonly name: string;
  readonly args?: readonly string[];
  readonly volume?: "executable" | "noexec";
}

/** Writes what runc reads; returns the folder for it. */
function container({ name, args = [...settings.Entrypoint, ...settings.Cmd], volume = "executable" }: Made): string {
  const at = (...parts: readonly string[]) => join(folder, name, ...parts);
  const { uid, gid } = unpacked.process.user;
  for (const each of ["bundle", "state", "etc"]) mkdirSync(at(each), { recursive: true });
  chownSync(at("state"), uid, gid);
  const lines = [
    '[cluster]\nsecret = "0123456789abcdef"\n[gateway]\nid = "g"\nlisten = "127.0.0.1:8000"',
    'admin = "127.0.0.1:7700"\ndatabase = "/var/lib/stead/g.db"\n[[service]]\nname = "app"\n',
  ];
  writeFileSync(at("etc", "stead.toml"), lines.join("\n"), { mode: 0o600 });
  chownSync(at("etc", "stead.toml"), uid, gid);
  const bind = (destination: string, source: string, options: readonly string[]) => ({
    ...{ destination, type: "bind", source, options: ["bind", ...options] },
  });
  const mounts = [
    ...unpacked.mounts.filter(({ destination }) => destination !== "/var/lib/stead"),
    bind("/var/lib/stead", at("state"), volume === "noexec" ? ["rw", "noexec"] : ["rw"]),
    bind("/etc/stead", at("etc"), ["ro"]),
  ];
  const config = {
    ...unpacked,
    process: { ...unpacked.process, args, terminal: false, capabilities: {} },
    root: { path: join(folder, "bundle", unpacked.root.path), readonly: true },
    mounts,
  };
  writeFileSync(at("bundle", "config.json"), JSON.stringify(config));
  return at("bundle");
}

const runc = (...args: readonly string[]) =>
  runProgram("runc", ["--root", join(folder, "runc"), ...args], { cwd: folder, env });
const run = (made: Made) => runc("run", "--bundle", container(made), made.name);

test.skipIf(missing !== undefined)("Docker's manifest names the same layers and the same configuration", () => {
  const [docker] = json("image/manifest.json") as [{ readonly Config: string; readonly Layers: readonly string[] }];
  const { manifests } = json("image/index.json") as { readonly manifests: readonly [{ readonly digest: string }] };
  const pathOf = (digest: string): string => `blobs/${digest.replace(":", "/")}`;
  const { config, layers } = json(join("image", pathOf(manifests[0].digest))) as {
    readonly config: { readonly digest: string };
    readonly layers: readonly { readonly digest: string }[];
  };
  expect(docker.Layers).toEqual(layers.map(({ digest }) => pathOf(digest)));
  expect(docker.Config).toBe(pathOf(config.digest));
});

test.skipIf(missing !== undefined)(
  "it runs as its own user on a read-only root, with both SQLite libraries",
  async () => {
    expect(unpacked.process.user).toEqual({ uid: 65_532, gid: 65_532 });
    const { code, out, err } = await run({ name: "version", args: ["/usr/bin/stead", "version", "--json"] });
    expect([code, err]).toEqual([0, ""]);
    expect(JSON.parse(out)).toMatchObject({
      libsql: expect.stringMatching(/^3\./),
      sqlite: expect.stringMatching(/^3\./),
    });
    const refused = await run({ name: "writes", args: ["/usr/bin/stead", "init", "/srv"] });
    expect(refused.code).not.toBe(0);
    expect(refused.err).toMatch(/read-only|EROFS/i);
  },
);

test.skipIf(missing !== undefined)(
  "it starts as the image says; the health check passes until it is stopped",
  async () => {
    const [kind, ...check] = settings.Healthcheck.Test;
    expect(kind).toBe("CMD");
    const gateway = spawn(
      ...([
        "runc",
        ["--root", join(folder, "runc"), "run", "--bundle", container({ name: "gateway" }), "gateway"],
      ] as const),
      { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] },
    );
    const exited = once(gateway, "exit");
    let said = "";
    const serves = new Promise<void>((resolve, reject) => {
      const hear = (chunk: Buffer) => {
        said += chunk.toString();
        if (said.includes("serving on")) resolve();
      };
      gateway.stdout.on("data", hear);
      gateway.stderr.on("data", hear);
      void exited.then(() => reject(new Error(`the gateway ended:\n${said}`)));
    });
    await serves;
    expect(await runc("exec", "gateway", ...check)).toMatchObject({ code: 0 });
    expect(statSync(join(folder, "gateway", "state", "g.db")).uid).toBe(65_532);
    await runc("kill", "gateway", "TERM");
    expect((await exited)[0]).toBe(0);
    expect(said).toContain("stopping");
  },
);

test.skipIf(missing !== undefined)(
  "with a volume that is mounted noexec, it names the folder and the variable",
  async () => {
    const { out, err } = await run({ name: "noexec", args: ["/usr/bin/stead", "version"], volume: "noexec" });
    expect(`${out}${err}`).toContain("/var/lib/stead");
    expect(`${out}${err}`).toContain("STEAD_TMP");
  },
);

test.skipIf(missing !== undefined)("the health check fails where no gateway answers", async () => {
  const [, ...check] = settings.Healthcheck.Test;
  expect((await run({ name: "alone", args: check })).code).not.toBe(0);
});
