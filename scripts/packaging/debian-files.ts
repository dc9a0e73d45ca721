/**
 * The C library, libgcc and their licences for an image, from Debian's packages, for any processor: by apt-get with
 * folders of its own, so that the machine's package database is left as it is.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "../lib/command.ts";
import type { TarEntry } from "./tar.ts";

export type DebianArchitecture = "amd64" | "arm64";

export interface DebianFiles {
  readonly entries: readonly TarEntry[];
  /** `libc6 2.36-9`, for the image's labels. */
  readonly packages: readonly string[];
}

const folders = { amd64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" } as const;
/** Where the kernel looks for what loads the program. */
const loaders = {
  amd64: { path: "lib64/ld-linux-x86-64.so.2", target: "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" },
  arm64: { path: "lib/ld-linux-aarch64.so.1", target: "aarch64-linux-gnu/ld-linux-aarch64.so.1" },
} as const;
/** Of the program, of libSQL's native module, and what the C library loads for names of hosts. */
const libraries = [
  ...["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libgcc_s.so.1", "libresolv.so.2"],
  ...["libnss_files.so.2", "libnss_dns.so.2"],
];
const sources = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];

export const hasApt = (): boolean => Bun.which("apt-get") !== null && Bun.which("dpkg-deb") !== null;

export async function debianFiles(architecture: DebianArchitecture, work: string): Promise<DebianFiles> {
  const folder = join(work, `debian-${architecture}`);
  for (const each of ["lists/partial", "cache/archives/partial", "root"])
    mkdirSync(join(folder, each), { recursive: true });
  writeFileSync(join(folder, "status"), "");
  const list = sources.find((path) => existsSync(path));
  if (list === undefined) throw new Error(`there is no ${sources.join(" nor ")}`);
  const options = Object.entries({
    ...{ "APT::Architecture": architecture, "APT::Architectures": architecture, "APT::Sandbox::User": "root" },
    ...{ "Dir::State::lists": join(folder, "lists"), "Dir::State::status": join(folder, "status") },
    ...{ "Dir::Cache": join(folder, "cache"), "Dir::Etc::sourceparts": "-", "Dir::Etc::sourcelist": list },
  }).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
  const run = async (...command: readonly string[]): Promise<string> => {
    const { code, output } = await runCommand(command, { cwd: folder, show: false });
    if (code !== 0) throw new Error(`${command.join(" ")} failed:\n${output}`);
    return output;
  };
  await run("apt-get", "-qq", ...options, "update");
  await run("apt-get", "-qq", ...options, "download", "libc6", "libgcc-s1", "gcc-12-base");
  const debs = readdirSync(folder).filter((name) => name.endsWith(".deb"));
  for (const name of debs) await run("dpkg-deb", "-x", name, "root");
  return {
    entries: [...libraryEntries(join(folder, "root"), architecture), ...licences(join(folder, "root"))],
    packages: debs.map((name) => name.split("_").slice(0, 2).join(" ").replace("%3a", ":")).toSorted(),
  };
}

function libraryEntries(root: string, architecture: DebianArchitecture): TarEntry[] {
  const folder = `lib/${folders[architecture]}`;
  const loader = loaders[architecture];
  const names = [...libraries, loader.path.split("/").at(-1) ?? ""];
  return [
    ...names.map((name): TarEntry => {
      const content = readFileSync(join(root, folder, name));
      return { kind: "file", path: `${folder}/${name}`, mode: 0o755, content };
    }),
    { kind: "link", path: loader.path, target: loader.target },
  ];
}

function licences(root: string): TarEntry[] {
  const documents = join(root, "usr/share/doc");
  return readdirSync(documents).flatMap((name): TarEntry[] => {
    const path = join(documents, name, "copyright");
    if (!existsSync(path) || !statSync(path).isFile()) return [];
    return [{ kind: "file", path: `usr/share/doc/${name}/copyright`, mode: 0o644, content: readFileSync(path) }];
  });
}
