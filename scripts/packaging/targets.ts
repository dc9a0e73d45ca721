/** The platforms of a release, with what each is for. docs/PLATFORMS.md is made from this table and from trials. */
import type { BuildTarget } from "../lib/libsql-plugin.ts";

export interface ReleaseTarget {
  /** In file names. */
  readonly name: string;
  readonly build: BuildTarget;
  readonly executable: "stead" | "stead.exe";
  /** In the words of each packager; undefined: no such package of this target. */
  readonly deb?: "amd64" | "arm64";
  readonly rpm?: "x86_64" | "aarch64";
  readonly oci?: "amd64" | "arm64";
  readonly needs: string;
  readonly roles: string;
}

/** The oldest C library that Bun's executable runs with. */
export const glibcMin = "2.18";

const all = "gateway, host, vault server, commands";
/** Without /proc, inotify and open file description locks nothing can be captured. */
const noHost = "gateway, vault server, commands; not a host, since capture needs Linux";

export const releaseTargets: readonly ReleaseTarget[] = [
  {
    ...{ name: "linux-x64", build: "bun-linux-x64", executable: "stead", roles: all },
    ...{ deb: "amd64", rpm: "x86_64", oci: "amd64", needs: `glibc ${glibcMin}, libgcc_s; SSE4.2` },
  },
  {
    ...{ name: "linux-arm64", build: "bun-linux-arm64", executable: "stead", roles: all },
    ...{ deb: "arm64", rpm: "aarch64", oci: "arm64", needs: `glibc ${glibcMin}, libgcc_s` },
  },
  {
    ...{ name: "linux-x64-musl", build: "bun-linux-x64-musl", executable: "stead", roles: all },
    needs: "musl, libstdc++ and libgcc (Alpine: apk add libstdc++); SSE4.2",
  },
  {
    ...{ name: "linux-arm64-musl", build: "bun-linux-arm64-musl", executable: "stead", roles: all },
    needs: "musl, libstdc++ and libgcc (Alpine: apk add libstdc++)",
  },
  {
    ...{ name: "macos-arm64", build: "bun-darwin-arm64", executable: "stead", roles: noHost },
    needs: "macOS 13; the signature is ad hoc, not notarised",
  },
  {
    ...{ name: "macos-x64", build: "bun-darwin-x64", executable: "stead", roles: noHost },
    needs: "macOS 13; SSE4.2",
  },
  {
    ...{ name: "windows-x64", build: "bun-windows-x64", executable: "stead.exe" },
    ...{ needs: "Windows 10; SSE4.2", roles: "commands that call a gateway" },
  },
];
