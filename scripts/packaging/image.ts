/**
 * An image without a container engine: an OCI layout that also has Docker's manifest.json, as one tar archive, so that
 * `docker load`, `podman load` and `skopeo copy oci-archive:…` take it. It has the executable, the C library and a user
 * of its own, no shell. It runs with a read-only root: what is written is in /var/lib/stead.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { DebianArchitecture, DebianFiles } from "./debian-files.ts";
import { tar, type TarEntry, withFolders } from "./tar.ts";

/** As in other images without a shell: no user of a machine has this id. */
const uid = 65_532;
const state = "var/lib/stead";
const config = "/etc/stead/stead.toml";
const fast = 6;

interface Image {
  readonly architecture: DebianArchitecture;
  readonly version: string;
  readonly commit: string;
  readonly executable: Uint8Array;
  readonly debian: DebianFiles;
  readonly timeSeconds: number;
}

export function image(options: Image): Buffer {
  const { architecture, version, debian, timeSeconds } = options;
  const layers = [layerOf(debian.entries, timeSeconds), layerOf(ownFiles(options.executable), timeSeconds)];
  const created = new Date(timeSeconds * 1000).toISOString();
  const settings = json({
    ...{ architecture, os: "linux", created },
    config: {
      ...{ User: `${uid}:${uid}`, Entrypoint: ["/usr/bin/stead"], Cmd: ["gateway", config], WorkingDir: `/${state}` },
      Env: ["PATH=/usr/bin", `HOME=/${state}`, `STEAD_TMP=/${state}`],
      ...{ ExposedPorts: { "8000/tcp": {}, "7700/tcp": {} }, Volumes: { [`/${state}`]: {} } },
      // OCI has no place for it; Docker and Podman read it here.
      Healthcheck: {
        Test: ["CMD", "/usr/bin/stead", "liveness", "--config", config],
        ...{ Interval: 10e9, Timeout: 5e9, StartPeriod: 10e9, Retries: 3 },
      },
      Labels: {
        "org.opencontainers.image.title": "stead",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": options.commit,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.base.name": `Debian packages: ${debian.packages.join(", ")}`,
      },
    },
    rootfs: { type: "layers", diff_ids: layers.map(({ plain }) => `sha256:${digest(plain)}`) },
    history: ["Debian's C library", "stead"].map((created_by) => ({ created, created_by })),
  });
  const packed = layers.map((layer) => blob("application/vnd.oci.image.layer.v1.tar+gzip", layer.packed));
  const configBlob = blob("application/vnd.oci.image.config.v1+json", settings);
  const manifest = blob(
    "application/vnd.oci.image.manifest.v1+json",
    json({
      ...{ schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json" },
      ...{ config: configBlob.descriptor, layers: packed.map(({ descriptor }) => descriptor) },
    }),
  );
  const index = json({
    ...{ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json" },
    manifests: [
      {
        ...{ ...manifest.descriptor, platform: { architecture, os: "linux" } },
        annotations: { "org.opencontainers.image.ref.name": version, "io.containerd.image.name": `stead:${version}` },
      },
    ],
  });
  const docker = json([
    {
      ...{ Config: configBlob.path, RepoTags: [`stead:${version}`] },
      Layers: packed.map(({ path }) => path),
    },
  ]);
  const files = [
    ...[...packed, configBlob, manifest].map(({ path, content }) => ({ path, content })),
    { path: "index.json", content: index },
    { path: "manifest.json", content: docker },
    { path: "oci-layout", content: json({ imageLayoutVersion: "1.0.0" }) },
  ];
  return tar(withFolders(files.map((each): TarEntry => ({ kind: "file", mode: 0o644, ...each }))), timeSeconds);
}

function ownFiles(executable: Uint8Array): TarEntry[] {
  const file = (path: string, content: string | Uint8Array, mode = 0o644): TarEntry => ({
    ...{ kind: "file", path, mode, content },
  });
  return [
    file("usr/bin/stead", executable, 0o755),
    file("etc/passwd", `root:x:0:0:root:/root:/none\nstead:x:${uid}:${uid}:stead:/${state}:/none\n`),
    file("etc/group", `root:x:0:\nstead:x:${uid}:\n`),
    file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    { kind: "folder", path: "etc/stead", mode: 0o755 },
    { kind: "folder", path: state, mode: 0o700, uid, gid: uid },
    { kind: "folder", path: "tmp", mode: 0o1777 },
    // Engines mount these; Bun needs them.
    ...["dev", "proc", "sys"].map((path): TarEntry => ({ kind: "folder", path, mode: 0o755 })),
  ];
}

function layerOf(entries: readonly TarEntry[], timeSeconds: number): { plain: Buffer; packed: Buffer } {
  const plain = tar(withFolders(entries), timeSeconds);
  return { plain, packed: gzipSync(plain, { level: fast }) };
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const digest = (content: Uint8Array): string => createHash("sha256").update(content).digest("hex");

function blob(mediaType: string, content: Buffer) {
  const sha256 = digest(content);
  const descriptor = { mediaType, digest: `sha256:${sha256}`, size: content.length };
  return { descriptor, content, path: `blobs/sha256/${sha256}` };
}
