/** The proof with which secondaries apply flushes, for tools that examine a vault. */
import { hashedOnly } from "../../capture/hashed-pages.ts";
import { checksumOfPages } from "../../capture/page-hashes.ts";
import { PageTables } from "../../capture/page-tables.ts";
import { ReplicaError } from "../../capture/replica-error.ts";
import type { PageProof, ProofRefusal } from "../../vault/checkpoint/flush-proof.ts";

export const pageProof: PageProof = {
  checksumOf: checksumOfPages,
  keeper: { keep: hashedOnly, forget: () => undefined },
  emptyState: () => {
    const tables = new PageTables();
    return {
      load: (database) => refusalOf(() => tables.load(database)),
      apply: (flush) =>
        refusalOf(async () => {
          for (const change of await tables.prove(flush.deltas)) tables.accept(change);
        }),
      checksums: () => tables.checksums(),
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
