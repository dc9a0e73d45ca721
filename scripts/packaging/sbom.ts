/**
 * What is inside of an executable, as CycloneDX 1.6 (JSON), from bun.lock: the dependencies of the program with theirs,
 * Bun's runtime and libSQL's native module of the target, each with its version, licence, hash and package URL. The
 * same lock gives the same bytes: the serial number follows from the content, the time is the commit's.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { LockedPackage } from "./locked-package.ts";

const root = join(import.meta.dirname, "..", "..");

export interface SbomInput {
  readonly version: string;
  readonly timeSeconds: number;
  readonly locked: ReadonlyMap<string, LockedPackage>;
  /** Names of the program's own dependencies. */
  readonly direct: readonly string[];
  /** Packages for this target alone, which are in no other: Bun and the native module. */
  readonly native: readonly string[];
  /** SPDX, or a text; undefined: the package does not say. */
  readonly licenceOf: (found: LockedPackage) => string | undefined;
}

export function sbom({ version, timeSeconds, locked, direct, native, licenceOf }: SbomInput): string {
  const packages = reachable(locked, [...direct, ...native]);
  const own = `pkg:npm/stead@${version}`;
  const components = packages.map(({ found }) => ({
    ...{ type: "library", "bom-ref": purl(found), ...names(found), version: found.version },
    ...{ hashes: [{ alg: "SHA-512", content: hashOf(found) }], ...licences(licenceOf(found)), purl: purl(found) },
  }));
  const dependencies = [
    { ref: own, dependsOn: [...direct, ...native].map((name) => refOf(locked, "", name)).toSorted() },
    ...packages.map(({ place, found }) => ({
      ref: purl(found),
      dependsOn: found.dependencies
        .flatMap((name) => (isKnown(locked, place, name) ? [refOf(locked, place, name)] : []))
        .toSorted(),
    })),
  ];
  const body = {
    metadata: {
      timestamp: new Date(timeSeconds * 1000).toISOString(),
      component: {
        ...{ type: "application", "bom-ref": own, name: "stead", version, purl: own },
        licenses: [{ license: { id: "Apache-2.0" } }],
      },
    },
    ...{ components, dependencies },
  };
  const serialNumber = `urn:uuid:${uuidOf(JSON.stringify(body))}`;
  const head = {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
  };
  return `${JSON.stringify({ ...head, serialNumber, version: 1, ...body }, undefined, 2)}\n`;
}

interface Placed {
  /** Key in bun.lock. */
  readonly place: string;
  readonly found: LockedPackage;
}

/** Optional dependencies are other targets' natives; those of this one are named. */
function reachable(locked: ReadonlyMap<string, LockedPackage>, names: readonly string[]): Placed[] {
  const seen = new Map<string, Placed>();
  const visit = (from: string, name: string): void => {
    const place = placeOf(locked, from, name);
    const found = place === undefined ? undefined : locked.get(place);
    if (place === undefined || found === undefined || seen.has(purl(found))) return;
    seen.set(purl(found), { place, found });
    for (const each of found.dependencies) visit(place, each);
  };
  for (const name of names) visit("", name);
  return [...seen.values()].toSorted((a, b) => (purl(a.found) < purl(b.found) ? -1 : 1));
}

/** As Node looks: below the package that asks, then further up. */
function placeOf(locked: ReadonlyMap<string, LockedPackage>, from: string, name: string): string | undefined {
  for (let at = from; ; at = at.includes("/") ? at.slice(0, at.lastIndexOf("/")) : "") {
    const place = at === "" ? name : `${at}/${name}`;
    if (locked.has(place)) return place;
    if (at === "") return undefined;
  }
}

const isKnown = (locked: ReadonlyMap<string, LockedPackage>, from: string, name: string): boolean =>
  placeOf(locked, from, name) !== undefined;

function refOf(locked: ReadonlyMap<string, LockedPackage>, from: string, name: string): string {
  const found = locked.get(placeOf(locked, from, name) ?? "");
  if (found === undefined)
    throw new Error(`bun.lock has no ${name}, which ${from === "" ? "the program" : from} needs`);
  return purl(found);
}

const purl = ({ name, version }: LockedPackage): string => `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;

function names({ name }: LockedPackage): { readonly group?: string; readonly name: string } {
  const [group, rest] = name.split("/");
  return rest === undefined ? { name } : { group: group ?? "", name: rest };
}

const hashOf = ({ integrity }: LockedPackage): string =>
  Buffer.from(integrity.replace(/^sha512-/, ""), "base64").toString("hex");

const licences = (licence: string | undefined) =>
  licence === undefined
    ? {}
    : { licenses: [/^[\w.+-]+$/.test(licence) ? { license: { id: licence } } : { expression: licence }] };

function uuidOf(text: string): string {
  const hex = createHash("sha256").update(text).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    "-",
  );
}

/** From the package's own package.json; the folders are tried in this order. */
export function licenceIn(folders: readonly string[], { name }: LockedPackage): string | undefined {
  const path = [join(root, "node_modules", name), ...folders.filter((each) => each.endsWith(name))]
    .map((folder) => join(folder, "package.json"))
    .find((file) => existsSync(file));
  if (path === undefined) return undefined;
  const { license } = JSON.parse(readFileSync(path, "utf8")) as { readonly license?: unknown };
  return typeof license === "string" ? license : undefined;
}
