/** The proof with which secondaries apply flushes, for tools that examine a vault. */
import { hashedOnly } from "../../capture/hashed-pages.ts";
import { checksumOfPages } from "../../capture/page-hashes.ts";
import { PageTables } from "../../capture/page-tables.ts";
import { FileTree } from "../../core/files/file-tree.ts";
import { wholeState } from "../../core/files/whole-state.ts";
import { sha256 } from "../../runtime/sha256.ts";
import { proveFiles } from "./files/file-replica.ts";
import { readFiles } from "./files/replica-with-files.ts";
import { ReplicaError } from "../../capture/replica-error.ts";
import type { PageProof, ProofRefusal } from "../../vault/checkpoint/flush-proof.ts";

export const pageProof: PageProof = {
  checksumOf: checksumOfPages,
  keeper: { keep: hashedOnly, forget: () => undefined },
  emptyState: () => {
    const tables = new PageTables();
    let tree = new FileTree(sha256);
    return {
      loadFiles: (files) => void (tree = files),
      load: (database) => refusalOf(() => tables.load(database)),
      apply: (flush) =>
        refusalOf(async () => {
          const files = readFiles(flush);
          if (files !== undefined) proveFiles(tree, files, flush.from);
          for (const change of await tables.prove(flush.deltas)) tables.accept(change);
        }),
      checksums: () => wholeState(tables.checksums(), tree.checksum),
    };
  },
};

async function refusalOf(work: () => Promise<void>): Promise<ProofRefusal | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof ReplicaError) return { database: error.database, reason: error.reason };
    throw error;
  }
}
