/**
 * The store of a vault server. It has none of the vault's keys, and reads claims and seals that hosts have written with
 * them when the folder was theirs: without the trailer, on whose absence the tags of segments rest. Its own have none.
 */
import { hasTrailer, trailerBytes } from "../vault/store/keyed-store.ts";
import { ForwardingStore } from "../vault/store/forwarding-store.ts";
import { objectBytesMax } from "../vault/limits.ts";
import { claimPrefix, sealPrefix } from "../vault/log/segment/segment-key.ts";
import { sealLength } from "../vault/log/segment/seal.ts";

export class UnverifiedStore extends ForwardingStore {
  override async get(key: string, bytesMax = objectBytesMax): Promise<Uint8Array | undefined> {
    const isClaim = key.startsWith(claimPrefix);
    if (!isClaim && !key.startsWith(sealPrefix)) return super.get(key, bytesMax);
    const stored = await super.get(key, bytesMax + trailerBytes);
    if (stored === undefined) return undefined;
    const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
    const content = bytes.length - trailerBytes;
    // A claim is shorter than a trailer; a seal says its length.
    return hasTrailer(bytes) && (isClaim || sealLength(bytes) === content) ? stored.subarray(0, content) : stored;
  }
}
