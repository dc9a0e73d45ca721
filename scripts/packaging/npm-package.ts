/**
 * The npm package `stead`, as `npm pack` would make it: the program and the library as one script each, for Node, Deno
 * and Bun. Its dependencies are installed beside it, at the versions of package.json.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import packageFile from "../../package.json" with { type: "json" };
import { tar, type TarEntry, withFolders } from "./tar.ts";

const root = join(import.meta.dirname, "..", "..");
const main = "stead.js";
const scripts = [
  { entry: "src/main.ts", path: `lib/${main}`, banner: "#!/usr/bin/env node" },
  { entry: "src/index.ts", path: "lib/index.js", banner: "" },
];

export async function npmPackage(commit: string, timeSeconds: number): Promise<Buffer> {
  const built = await Promise.all(scripts.map(async (each) => ({ ...each, text: await scriptOf(each, commit) })));
  const { name, version, description, license, type, dependencies } = packageFile;
  const described = {
    ...{ name, version, description, license, type },
    engines: { node: ">=24", bun: packageFile.engines.bun, deno: ">=2.9" },
    bin: { stead: `lib/${main}` },
    exports: { ".": { types: "./lib/index.d.ts", default: "./lib/index.js" } },
    dependencies,
  };
  const files: TarEntry[] = [
    ...built.map(({ path, text }) => file(path, text, path.endsWith(main) ? 0o755 : 0o644)),
    file("lib/index.d.ts", types),
    file("package.json", `${JSON.stringify(described, undefined, 2)}\n`),
    file("LICENSE", readFileSync(join(root, "LICENSE"))),
    file("README.md", readFileSync(join(root, "README.md"))),
  ];
  return gzipSync(tar(withFolders(files), timeSeconds), { level: 9 });
}

/** Those of the sources, and the one value. */
export const types = `${readFileSync(join(root, "src/embed/embedded-gateway.ts"), "utf8")}
export declare const gateway: StartGateway;
`;

const file = (path: string, content: string | Uint8Array, mode = 0o644): TarEntry => ({
  ...{ kind: "file", path: `package/${path}`, mode, content },
});

async function scriptOf({ entry, banner }: (typeof scripts)[number], commit: string): Promise<string> {
  const result = await Bun.build({
    entrypoints: [join(root, entry)],
    ...{ target: "node", format: "esm", banner, throw: false },
    external: ["bun:*", ...Object.keys(packageFile.dependencies)],
    define: { STEAD_BUILD: JSON.stringify(commit), STEAD_MAIN: JSON.stringify(`./${main}`) },
  });
  const [output] = result.outputs;
  if (!result.success || output === undefined) throw new Error(result.logs.map(({ message }) => message).join("\n"));
  return output.text();
}
