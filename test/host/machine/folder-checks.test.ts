import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assertFolderPlaces, checkFolderPlaces, FolderPlaceError } from "../../../src/host/machine/folder-checks.ts";
import { canMount, withMount } from "../../e2e/mounts.ts";

const ext4 = 0xef53;
const nfs = 0x6969;

async function withFolders(
  body: (folders: {
    readonly dataFolder: string;
    readonly stateFolder: string;
    readonly setAsideFolder: string;
  }) => Promise<void> | void,
): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "stead-folders-"));
  try {
    const dataFolder = join(root, "data");
    mkdirSync(dataFolder);
    await body({
      dataFolder,
      stateFolder: join(root, "data.stead"),
      setAsideFolder: join(root, "data.stead/set-aside"),
    });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const kinds = (findings: ReturnType<typeof checkFolderPlaces>): string[] =>
  findings.map(({ kind, key }) => `${kind} ${key}`);

test("folders on one local file system, also those that are not there yet, are no finding", () =>
  withFolders((folders) => expect(checkFolderPlaces(folders, () => ext4)).toEqual([])));

test.skipIf(process.platform !== "linux")(
  "a data folder on a network file system is refused, other folders there are a warning",
  () =>
    withFolders((folders) =>
      expect(kinds(checkFolderPlaces(folders, () => nfs))).toEqual([
        "refused data",
        "warned state",
        "warned set_aside",
      ]),
    ),
);

test.if(canMount)(
  "a data folder that is a volume is told with what it costs, and one that is mounted read-only is refused",
  () =>
    withFolders(async (folders) => {
      await withMount(folders.dataFolder, "small", () =>
        Promise.resolve(
          expect(kinds(checkFolderPlaces(folders, () => ext4))).toEqual(["warned state", "warned set_aside"]),
        ),
      );
      await withMount(folders.dataFolder, "bind", () => {
        const findings = checkFolderPlaces(folders, () => ext4).filter(({ kind }) => kind === "refused");
        expect(findings.map(({ key, found }) => [key, found.includes("EROFS")])).toEqual([["data", true]]);
        expect(() => assertFolderPlaces(folders, () => undefined)).toThrow(FolderPlaceError);
        return Promise.resolve();
      });
    }),
);
