/** The files of a release, one target after the other. What cannot be made here is refused with its reason. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { runCommand } from "../lib/command.ts";
import { libsqlPackages } from "../lib/libsql-plugin.ts";
import packageFile from "../../package.json" with { type: "json" };
import { squeeze } from "./compressed.ts";
import { debianFiles, hasApt } from "./debian-files.ts";
import { deb } from "./deb.ts";
import { buildExecutable, runtimePackage } from "./executable.ts";
import { image } from "./image.ts";
import { linuxFiles, type Printed } from "./linux-files.ts";
import { lockedPackage, readLock } from "./locked-package.ts";
import { debScripts, rpmScripts } from "./package-scripts.ts";
import { npmPackage } from "./npm-package.ts";
import { hasRpmbuild, rpm } from "./rpm.ts";
import { licenceIn, sbom } from "./sbom.ts";
import { tar } from "./tar.ts";
import { glibcMin, type ReleaseTarget } from "./targets.ts";

const root = join(import.meta.dirname, "..", "..");
const { version } = packageFile;

export interface Source {
  readonly commit: string;
  readonly timeSeconds: number;
  /** Of zstd. */
  readonly level: number;
  readonly targets: readonly ReleaseTarget[];
}

export async function makeRelease(source: Source, out: string, say: (line: string) => void): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), "stead-release-"));
  try {
    const printed = await printedBy(source.timeSeconds);
    for (const target of source.targets) {
      for (const file of await makeTarget(source, target, { work, out, printed })) say(file);
    }
    const npm = await npmPackage(source.commit, source.timeSeconds);
    writeFileSync(join(out, `stead-${version}.tgz`), npm);
    say(`stead-${version}.tgz ${(npm.length / 2 ** 20).toFixed(1)} MiB`);
    if (!hasRpmbuild()) say("no .rpm: rpmbuild is not here (Debian's package rpm)");
    if (!hasApt()) say("no image: apt-get and dpkg-deb, which bring the C library, are not here");
    writeFileSync(join(out, "SHA256SUMS"), sums(out));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

interface Places {
  readonly work: string;
  readonly out: string;
  readonly printed: Printed;
}

/** Returns the names of the files. */
async function makeTarget(source: Source, target: ReleaseTarget, { work, out, printed }: Places): Promise<string[]> {
  const folder = join(work, target.name);
  mkdirSync(folder);
  // The name of the file is inside of it: the same for all.
  const path = join(folder, target.executable);
  await buildExecutable({ target: target.build, outfile: path, commit: source.commit });
  const executable = readFileSync(path);
  const { timeSeconds, level } = source;
  const made: string[] = [];
  const write = (name: string, content: Uint8Array | string): void => {
    writeFileSync(join(out, name), content);
    made.push(`${name} ${(Buffer.byteLength(content) / 2 ** 20).toFixed(1)} MiB`);
  };
  write(`stead-${version}-${target.name}.tar.zst`, squeeze(archive(executable, target, timeSeconds), level));
  write(`stead-${version}-${target.name}.cdx.json`, await sbomOf(target, timeSeconds));
  if (target.deb !== undefined) {
    const files = linuxFiles({ executable, printed, zshFolder: "usr/share/zsh/vendor-completions" });
    const content = deb({ control: debControl(target.deb), scripts: debScripts, files, timeSeconds, level });
    write(`stead_${version}_${target.deb}.deb`, content);
  }
  if (target.rpm !== undefined && hasRpmbuild()) {
    const files = linuxFiles({ executable, printed, zshFolder: "usr/share/zsh/site-functions" });
    const content = await rpm({
      ...{ version, architecture: target.rpm, summary: packageFile.description, description },
      ...{ scripts: rpmScripts, files, timeSeconds, level, work: folder },
    });
    write(`stead-${version}-1.${target.rpm}.rpm`, content);
  }
  if (target.oci !== undefined && hasApt()) {
    const debian = await debianFiles(target.oci, folder);
    const content = image({
      ...{ architecture: target.oci, version, commit: source.commit, executable, debian, timeSeconds },
    });
    write(`stead-${version}-image-${target.oci}.tar`, content);
  }
  rmSync(folder, { recursive: true });
  return made;
}

function archive(executable: Uint8Array, target: ReleaseTarget, timeSeconds: number): Buffer {
  const licence = readFileSync(join(root, "LICENSE"));
  return tar(
    [
      { kind: "file", path: target.executable, mode: 0o755, content: executable },
      { kind: "file", path: "LICENSE", mode: 0o644, content: licence },
    ],
    timeSeconds,
  );
}

const description = `A gateway sends all traffic of a service to its primary. A host runs beside the
unmodified application, and puts every commit into a vault before a response
that depends on it leaves the machine.`;

const debControl = (architecture: string): readonly string[] => [
  "Package: stead",
  `Version: ${version}`,
  `Architecture: ${architecture}`,
  "Maintainer: The authors of stead <stead@localhost>",
  "Section: net",
  "Priority: optional",
  `Depends: libc6 (>= ${glibcMin}), libgcc-s1, passwd`,
  `Description: ${packageFile.description}`,
  ...description.split("\n").map((line) => ` ${line}`),
];

async function sbomOf(target: ReleaseTarget, timeSeconds: number): Promise<string> {
  const native = [runtimePackage(target.build), libsqlPackages[target.build]];
  const folders = await Promise.all(native.map((name) => lockedPackage(name)));
  return sbom({
    ...{ version, timeSeconds, locked: readLock(), direct: Object.keys(packageFile.dependencies), native },
    licenceOf: (found) => licenceIn(folders, found),
  });
}

/** The program is asked on this machine; what it prints is the same for every target. */
async function printedBy(timeSeconds: number): Promise<Printed> {
  const print = async (...args: readonly string[]): Promise<string> => {
    const { code, output } = await runCommand([process.execPath, join(root, "src", "main.ts"), ...args], {
      ...{ cwd: root, show: false, env: { SOURCE_DATE_EPOCH: String(timeSeconds) } },
    });
    if (code !== 0) throw new Error(`stead ${args.join(" ")} failed:\n${output}`);
    return output;
  };
  return {
    man: await print("man"),
    bash: await print("completion", "bash"),
    zsh: await print("completion", "zsh"),
    fish: await print("completion", "fish"),
  };
}

/** For `sha256sum --check SHA256SUMS`. */
const sums = (folder: string): string =>
  readdirSync(folder)
    .toSorted()
    .map(
      (name) =>
        `${createHash("sha256")
          .update(readFileSync(join(folder, name)))
          .digest("hex")}  ${basename(name)}\n`,
    )
    .join("");
