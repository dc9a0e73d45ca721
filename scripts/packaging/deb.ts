/**
 * A Debian package without Debian's tools: an ar archive of `debian-binary`, `control.tar.gz` and `data.tar.zst`
 * (deb(5); dpkg of Debian 12 or newer and of Ubuntu 22.04 or newer reads zstd).
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { squeeze } from "./compressed.ts";
import { tar, type TarEntry, withFolders } from "./tar.ts";

export interface Deb {
  /** Lines of the control file, without Installed-Size. */
  readonly control: readonly string[];
  /** Name and text of scripts: preinst, postinst, prerm, postrm. */
  readonly scripts: Readonly<Record<string, string>>;
  readonly files: readonly TarEntry[];
  readonly timeSeconds: number;
  /** Of zstd. */
  readonly level: number;
}

export function deb({ control, scripts, files, timeSeconds, level }: Deb): Buffer {
  const kibibytes = files.reduce(
    (sum, each) => sum + (each.kind === "file" ? Math.ceil(each.content.length / 1024) : 1),
    0,
  );
  const meta: TarEntry[] = [
    {
      kind: "file",
      path: "control",
      mode: 0o644,
      content: `${[...control, `Installed-Size: ${kibibytes}`].join("\n")}\n`,
    },
    { kind: "file", path: "md5sums", mode: 0o644, content: md5sums(files) },
    ...Object.entries(scripts).map(([path, content]): TarEntry => ({ kind: "file", path, mode: 0o755, content })),
  ];
  const root: TarEntry = { kind: "folder", path: "", mode: 0o755 };
  return ar(
    [
      ["debian-binary", Buffer.from("2.0\n")],
      ["control.tar.gz", gzipSync(tar([root, ...meta], timeSeconds, "./"), { level: 9 })],
      ["data.tar.zst", squeeze(tar([root, ...withFolders(files)], timeSeconds, "./"), level)],
    ],
    timeSeconds,
  );
}

const md5sums = (files: readonly TarEntry[]): string =>
  files
    .toSorted((a, b) => (a.path < b.path ? -1 : 1))
    .map((each) =>
      each.kind === "file" ? `${createHash("md5").update(each.content).digest("hex")}  ${each.path}\n` : "",
    )
    .join("");

function ar(members: readonly (readonly [name: string, content: Buffer])[], timeSeconds: number): Buffer {
  const parts = members.flatMap(([name, content]) => [
    Buffer.from(
      [name.padEnd(16), String(timeSeconds).padEnd(12), "0".padEnd(6), "0".padEnd(6), "100644".padEnd(8)].join("") +
        `${String(content.length).padEnd(10)}\`\n`,
    ),
    content,
    Buffer.from(content.length % 2 === 1 ? "\n" : ""),
  ]);
  return Buffer.concat([Buffer.from("!<arch>\n"), ...parts]);
}
