/** The bill of materials, from this repository's own bun.lock. */
import { expect, test } from "bun:test";
import { lockedPackages, readLock } from "../../../scripts/packaging/locked-package.ts";
import { sbom } from "../../../scripts/packaging/sbom.ts";
import packageFile from "../../../package.json" with { type: "json" };

interface Bom {
  readonly serialNumber: string;
  readonly components: readonly {
    readonly name: string;
    readonly purl: string;
    readonly hashes: readonly { readonly content: string }[];
    readonly licenses?: readonly unknown[];
  }[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

const native = ["@oven/bun-linux-arm64-made-up", "@libsql/linux-arm64-gnu"];
const locked = new Map([
  ...readLock(),
  ["@oven/bun-linux-arm64-made-up", { ...emptyPackage("@oven/bun-linux-arm64-made-up"), version: "1.0.0" }],
]);

function emptyPackage(name: string) {
  return { name, version: "1", integrity: "sha512-AAEC", dependencies: [], optionalDependencies: [] };
}

const made = (timeSeconds: number): string =>
  sbom({
    ...{ version: "1.2.3", timeSeconds, locked, direct: Object.keys(packageFile.dependencies), native },
    licenceOf: ({ name }) => (name === "hono" ? "(MIT OR Apache-2.0)" : "MIT"),
  });

test("it has each dependency of the program once, with theirs, and the natives of its own target alone", () => {
  const { components, dependencies } = JSON.parse(made(0)) as Bom;
  const urls = components.map(({ purl }) => purl);
  expect(new Set(urls).size).toBe(urls.length);
  for (const [name, version] of Object.entries(packageFile.dependencies))
    expect(urls).toContain(`pkg:npm/${name.replace("@", "%40")}@${version}`);
  expect(urls.filter((url) => url.includes("%40libsql/linux"))).toEqual([
    expect.stringContaining("%40libsql/linux-arm64-gnu@"),
  ]);
  expect(urls.filter((url) => url.includes("typescript"))).toEqual([]);
  const known = new Set([...urls, "pkg:npm/stead@1.2.3"]);
  expect(dependencies.flatMap(({ dependsOn }) => dependsOn).filter((each) => !known.has(each))).toEqual([]);
  expect(new Set(dependencies.map(({ ref }) => ref))).toEqual(known);
});

test("hashes are bun.lock's, in hexadecimal; licences are names or expressions", () => {
  const { components } = JSON.parse(made(0)) as Bom;
  expect(components.find(({ name }) => name === "bun-linux-arm64-made-up")?.hashes).toEqual([
    expect.objectContaining({ content: "000102" }),
  ]);
  expect(components.find(({ name }) => name === "hono")?.licenses).toEqual([{ expression: "(MIT OR Apache-2.0)" }]);
});

test("the same lock gives the same bytes, another content another serial number", () => {
  expect(made(5)).toBe(made(5));
  const serial = (text: string): string => (JSON.parse(text) as Bom).serialNumber;
  expect(serial(made(5))).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(serial(made(5))).not.toBe(serial(made(6)));
});

test("a package that a dependency has for itself is found before the one at the top", () => {
  const text = `{ "packages": {
    "a": ["a@1.0.0", "", { "dependencies": { "b": "2" } }, "sha512-AA=="],
    "b": ["b@1.0.0", "", {}, "sha512-AA=="],
    "a/b": ["b@2.0.0", "", {}, "sha512-AA=="],
  } }`;
  const bom = sbom({
    ...{ version: "1", timeSeconds: 0, locked: lockedPackages(text), direct: ["a"], native: [] },
    licenceOf: () => undefined,
  });
  expect((JSON.parse(bom) as Bom).components.map(({ purl }) => purl)).toEqual(["pkg:npm/a@1.0.0", "pkg:npm/b@2.0.0"]);
});
