/** Databases made of numbered pages, for checkpoints: the content of page n is given by its stamp. */
import { checksumOfPages } from "../../../src/capture/page-hashes.ts";
import type { DatabaseDelta } from "../../../src/core/delta.ts";
import {
  type CheckpointDatabase,
  type CheckpointManifest,
  readChunk,
} from "../../../src/vault/checkpoint/checkpoint.ts";
import { chunkCountOf } from "../../../src/vault/checkpoint/checkpoint-manifest.ts";
import type { Store } from "../../../src/vault/store/store.ts";

export class PageDatabase implements CheckpointDatabase {
  readonly name: string;
  readonly pageSize: number;
  readonly bytes: Uint8Array;

  constructor(name: string, pageCount: number, pageSize = 4096) {
    this.name = name;
    this.pageSize = pageSize;
    this.bytes = new Uint8Array(pageCount * pageSize);
    for (let page = 1; page <= pageCount; page += 1) this.stamp(page, page);
  }

  get pageCount(): number {
    return this.bytes.length / this.pageSize;
  }

  get checksum(): Uint8Array {
    return checksumOfPages(this.pageSize, 1, this.bytes);
  }

  /** Stamps a page; as a primary would journal it. */
  change(page: number, value: number): DatabaseDelta {
    this.stamp(page, value);
    const { name, pageSize, pageCount, checksum } = this;
    return {
      name,
      pageSize,
      pageCount,
      checksum,
      pages: [{ number: page, content: this.bytes.slice((page - 1) * pageSize, page * pageSize) }],
    };
  }

  stamp(page: number, value: number): void {
    const start = (page - 1) * this.pageSize;
    this.bytes.fill(value % 256, start, start + this.pageSize);
    new DataView(this.bytes.buffer).setUint32(start, value * 2654435761, true);
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return Promise.resolve(this.bytes.slice(offset, offset + length));
  }
}

/** All of a database as a checkpoint has it. */
export async function restore(store: Store, manifest: CheckpointManifest, name: string): Promise<Uint8Array> {
  const database = manifest.databases.find((candidate) => candidate.name === name);
  if (database === undefined) throw new Error(`no database ${name}`);
  const chunks: Uint8Array[] = [];
  for (let index = 0; index < chunkCountOf(database); index += 1)
    chunks.push(await readChunk(store, manifest, name, index));
  return Buffer.concat(chunks);
}
