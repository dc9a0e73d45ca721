import { expect, test } from "bun:test";
import { join } from "node:path";
import { networkFileSystem, refuseNetworkFileSystem } from "../../src/capture/network-fs.ts";
import { Source } from "../../src/capture/source.ts";
import { LossyDisks, missingForLossyDisks } from "../../scripts/proof-power/lossy-disks.ts";
import { sourceOptions, temporaryFolder } from "../support/capture/pair.ts";

test("network file systems are recognised by their magic number, and refused", () => {
  expect(networkFileSystem(0x6969)).toBe("NFS");
  expect(networkFileSystem(0xef53)).toBeUndefined();
  // statfs gives a signed number for the large ones.
  expect(networkFileSystem(0xff534d42 | 0)).toBe("CIFS");
  const refuse = (type: number) => () => refuseNetworkFileSystem("/data", ".", () => type);
  refuse(0xef53)();
  if (process.platform === "linux") expect(refuse(0x01021997)).toThrow("9p under /data");
});

const missing = missingForLossyDisks("ext4");

test.skipIf(missing !== undefined)(
  `nothing is captured in a data folder on a file system of that kind${missing === undefined ? "" : ` (skipped: this machine lacks ${missing})`}`,
  async () => {
    using folder = temporaryFolder();
    const disks = await LossyDisks.open(folder.path, "ext4", new Map([["disk", join(folder.path, "disk")]]));
    try {
      // The folder that FUSE shows them in.
      await expect(Source.open(sourceOptions(join(folder.path, "disks")))).rejects.toMatchObject({
        ...{ kind: "network-file-system", database: "." },
      });
    } finally {
      await disks.close();
    }
  },
  60_000,
);
