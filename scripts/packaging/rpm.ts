/**
 * An .rpm by rpmbuild (Debian has it as the package `rpm`), from the same files as the .deb. Times and the name of the
 * machine that builds are set, so that the same files give the same bytes.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { runCommand } from "../lib/command.ts";
import type { TarEntry } from "./tar.ts";
import { glibcMin } from "./targets.ts";

export interface Rpm {
  readonly version: string;
  readonly architecture: "x86_64" | "aarch64";
  readonly summary: string;
  readonly description: string;
  readonly scripts: Readonly<Record<"post" | "preun" | "postun", string>>;
  readonly files: readonly TarEntry[];
  readonly timeSeconds: number;
  /** Of zstd. */
  readonly level: number;
  /** For temporary files. */
  readonly work: string;
}

export const hasRpmbuild = (): boolean => Bun.which("rpmbuild") !== null;

export async function rpm(options: Rpm): Promise<Buffer> {
  const top = join(options.work, `rpm-${options.architecture}`);
  const tree = join(top, "tree");
  writeTree(tree, options.files);
  const spec = join(top, "stead.spec");
  writeFileSync(spec, specOf(options, tree));
  const { code, output } = await runCommand(
    ["rpmbuild", "-bb", "--quiet", "--target", `${options.architecture}-linux`, "--define", `_topdir ${top}`, spec],
    { cwd: top, show: false, env: { SOURCE_DATE_EPOCH: String(options.timeSeconds), LC_ALL: "C" } },
  );
  if (code !== 0) throw new Error(`rpmbuild failed:\n${output}`);
  const made = join(top, "RPMS", options.architecture);
  const content = readFileSync(join(made, readdirSync(made)[0] ?? ""));
  rmSync(top, { recursive: true });
  return content;
}

function writeTree(tree: string, files: readonly TarEntry[]): void {
  for (const each of files) {
    const path = join(tree, each.path);
    mkdirSync(each.kind === "folder" ? path : dirname(path), { recursive: true });
    if (each.kind === "file") writeFileSync(path, each.content, { mode: each.mode });
    if (each.kind === "link") symlinkSync(each.target, path);
  }
}

/** The executable is not stripped: its program is behind the last section. */
const specOf = (options: Rpm, tree: string): string => `%define _build_id_links none
%define debug_package %{nil}
%define __os_install_post %{nil}
%define _buildhost release
%define use_source_date_epoch_as_buildtime 1
%define clamp_mtime_to_source_date_epoch 1
%define _binary_payload w${options.level}.zstdio
Name: stead
Version: ${options.version}
Release: 1
Summary: ${options.summary}
License: Apache-2.0
AutoReqProv: no
Requires: glibc >= ${glibcMin}, libgcc, shadow-utils

%description
${options.description}

%install
cp -a ${tree}/. %{buildroot}

%post
${options.scripts.post}

%preun
${options.scripts.preun}

%postun
${options.scripts.postun}

%files
${options.files.map((each) => (each.kind === "file" ? `%attr(${each.mode.toString(8)},root,root) "/${each.path}"` : `"/${each.path}"`)).join("\n")}
`;
