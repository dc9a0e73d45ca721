import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeEntryHeader, entryBytes, entryHeaderBytes } from "../../../../src/vault/log/segment/segment-entry.ts";
import { SegmentLog } from "../../../../src/vault/log/segment/segment-log.ts";
import type { SegmentSizes } from "../../../../src/vault/log/segment/segment-writer.ts";
import { FsSegments } from "../../../../src/vault/store/fs-segments.ts";
import { MemorySegments } from "../../../../src/vault/store/memory-segments.ts";
import { MemoryStore } from "../../../../src/vault/store/memory-store.ts";
import { type PutOutcome, StoreError } from "../../../../src/vault/store/store.ts";
import { describeLogContract, type Fate, type LogUnderTest } from "../../../support/vault/log-contract.ts";
import { makeTemporaryVault } from "../../../support/vault/temporary-vault.ts";
import { service } from "../../../support/vault/log-fixture.ts";

const small: SegmentSizes = { first: 1_024, most: 4_096, recordMost: 256 * 1024 };

/** A log whose next put is not answered, as a host meets it: wraps the port. */
class UnansweredLog extends SegmentLog {
  readonly #fates: Fate[] = [];
  readonly #late: (() => Promise<unknown>)[] = [];

  loseAnswer(fate: Fate): void {
    this.#fates.push(fate);
  }

  async arrive(): Promise<void> {
    for (const put of this.#late.splice(0)) await put();
  }

  override async put(position: number, bytes: Uint8Array): Promise<PutOutcome> {
    const fate = this.#fates.shift();
    if (fate === undefined) return super.put(position, bytes);
    if (fate === "done") await super.put(position, bytes);
    if (fate === "late") {
      const copy = bytes.slice();
      this.#late.push(() => super.put(position, copy));
    }
    throw new StoreError("ambiguous", "no answer", "wait");
  }
}

function underTest(store: MemoryStore, all: MemorySegments, sizes?: SegmentSizes): LogUnderTest {
  const open = (): UnansweredLog =>
    new UnansweredLog({ store, files: all.of(store), service, ...(sizes === undefined ? {} : { sizes }) });
  const log = open();
  return {
    log,
    other: open(),
    loseAnswer: (fate) => log.loseAnswer(fate),
    arrive: () => log.arrive(),
    damage: async (position) => void [...all.files.values()].map((bytes) => damageIn(bytes, position)),
    dispose: () => Promise.resolve(),
  };
}

/** Flips a byte of the content of an entry. */
function damageIn(bytes: Uint8Array, position: number): boolean {
  const tag = new DataView(bytes.buffer, bytes.byteOffset).getUint32(24, true);
  for (let offset = 0; offset < bytes.length; ) {
    const header = decodeEntryHeader(bytes.subarray(offset), tag);
    if (header === undefined) return false;
    if (header.position === position) {
      bytes[offset + entryHeaderBytes + 10]! ^= 1;
      return true;
    }
    offset += entryBytes(header.contentBytes);
  }
  return false;
}

describeLogContract("a log in segments in memory", () =>
  Promise.resolve(underTest(new MemoryStore(), new MemorySegments())),
);

describeLogContract("a log in segments of a few records", () =>
  Promise.resolve(underTest(new MemoryStore(), new MemorySegments(), small)),
);

describeLogContract("a log in segments of a folder", async () => {
  const vault = await makeTemporaryVault();
  const stores = [vault.store, await vault.open()] as const;
  const all = stores.map((store) => new FsSegments({ folder: vault.folder, store }));
  const [log, other] = stores.map(
    (store, index) => new UnansweredLog({ store, files: all[index]!, service, sizes: small }),
  );
  return {
    log: log!,
    other: other!,
    loseAnswer: (fate: Fate) => log!.loseAnswer(fate),
    arrive: () => log!.arrive(),
    damage: async (position: number) => {
      for (const key of await vault.store.list("segments/")) {
        const bytes = await readFile(join(vault.folder, key));
        if (damageIn(bytes, position)) await writeFile(join(vault.folder, key), bytes);
      }
    },
    dispose: async () => {
      for (const files of all) await files.close();
      await vault.dispose();
    },
  };
});
