/**
 * What a package for Linux puts where, for .deb and .rpm: the executable, the units of examples/systemd with the
 * package's path of the executable, user and folders, completions, manual page, licence and documents.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { configJsonSchemaText, configSchemaFile } from "../../src/config/json-schema.ts";
import type { TarEntry } from "./tar.ts";

const root = join(import.meta.dirname, "..", "..");
export const unitNames = [
  "stead-gateway.service",
  "stead-host.service",
  "stead-host@.service",
  "stead-vault.service",
] as const;
const documents = ["README.md", "docs/OPERATIONS.md", "docs/SECURITY.md"];
const executablePath = "/usr/bin/stead";

/** Printed by the program itself. */
export interface Printed {
  readonly man: string;
  readonly bash: string;
  readonly zsh: string;
  readonly fish: string;
}

/** A unit of examples/systemd, for a program that a package has installed. */
export const packagedUnit = (text: string): string => text.replaceAll("/usr/local/bin/stead", executablePath);

/** systemd-sysusers(8) and systemd-tmpfiles(8) make these; the scripts of the packages call them, or do the same. */
export const sysusers = 'u stead - "stead" /var/lib/stead /usr/sbin/nologin\n';
export const tmpfiles = "d /etc/stead 0755 root root -\nd /var/lib/stead 0700 stead stead -\n";

export interface LinuxFiles {
  readonly executable: Uint8Array;
  readonly printed: Printed;
  /** Where zsh of that system looks for completions of packages. */
  readonly zshFolder: "usr/share/zsh/vendor-completions" | "usr/share/zsh/site-functions";
}

export function linuxFiles({ executable, printed, zshFolder }: LinuxFiles): TarEntry[] {
  const file = (path: string, content: string | Uint8Array, mode = 0o644): TarEntry => ({
    ...{ kind: "file", path, mode, content },
  });
  const kept = (path: string): string => readFileSync(join(root, path), "utf8");
  return [
    file("usr/bin/stead", executable, 0o755),
    ...unitNames.map((name) => file(`usr/lib/systemd/system/${name}`, packagedUnit(kept(`examples/systemd/${name}`)))),
    file("usr/lib/sysusers.d/stead.conf", sysusers),
    file("usr/lib/tmpfiles.d/stead.conf", tmpfiles),
    file("usr/share/man/man1/stead.1.gz", gzipSync(printed.man, { level: 9 })),
    file("usr/share/bash-completion/completions/stead", printed.bash),
    file(`${zshFolder}/_stead`, printed.zsh),
    file("usr/share/fish/vendor_completions.d/stead.fish", printed.fish),
    file("usr/share/doc/stead/copyright", copyright(kept("LICENSE"))),
    file(`usr/share/doc/stead/${configSchemaFile}`, configJsonSchemaText()),
    ...documents.map((path) => file(`usr/share/doc/stead/${path.split("/").at(-1)}`, kept(path))),
  ];
}

const copyright = (licence: string): string =>
  `stead is licensed under the Apache License 2.0. The executable contains Bun and the packages that the SBOM of this
release names, each under its own licence.

${licence}`;
