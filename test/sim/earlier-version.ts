/**
 * A host of a version that reads and writes records of format 1 only, as far as others notice: it refuses a record of
 * format 2 by its number with that version's words, tells no format in its status, and does not understand what
 * gateways tell about formats.
 */
import type { HostStatus } from "../../src/control/host-status.ts";
import type { PromoteRequest } from "../../src/control/host-api.ts";
import { UnknownFormatError } from "../../src/vault/errors.ts";
import { positionOfKey } from "../../src/vault/keys.ts";
import { logPrefix } from "../../src/vault/log/log-key.ts";
import type { Store } from "../../src/vault/store/store.ts";

const formatOffset = 4;

/** What that version makes of the vault: it decodes what it gets, in one breath. */
export function storeOfEarlierVersion(store: Store): Store {
  return {
    url: store.url,
    files: undefined,
    prepare: (key, bytes) => store.prepare(key, bytes),
    stage: (bytes) => store.stage(bytes),
    putIfAbsent: (key, bytes) => store.putIfAbsent(key, bytes),
    list: (prefix, options) => store.list(prefix, options),
    delete: (key) => store.delete(key),
    get: async (key) => {
      const bytes = await store.get(key);
      const position = positionOfKey(logPrefix, key);
      if (bytes === undefined || position === undefined) return bytes;
      const format = new DataView(bytes.buffer, bytes.byteOffset).getUint16(formatOffset, true);
      if (format !== 1) throw new UnknownFormatError(key, `version ${format}`, "version 1", { position });
      return bytes;
    },
  };
}

export const statusOfEarlierVersion = (status: HostStatus): HostStatus => ({
  ...status,
  recordFormat: null,
  takesNames: false,
});

export const requestOfEarlierVersion = (request: PromoteRequest): PromoteRequest => ({
  ...request,
  recordFormat: null,
});
