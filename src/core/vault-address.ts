/** Where a vault server is reached: `stead://vault1:7750`, as in `host.vault`. */

export interface VaultAddress {
  readonly host: string;
  readonly port: number;
}

const scheme = "stead:";
const defaultPort = 7750;

/** True if the text means a vault server and no folder, whether or not it is a correct address. */
export const isVaultUrl = (text: string): boolean => text.startsWith(scheme);

/** Undefined: it is no address of a vault server. Without a port it is 7750. */
export function parseVaultUrl(text: string): VaultAddress | undefined {
  const [, name = "", port] = /^stead:\/\/([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?\/?$/i.exec(text) ?? [];
  const number = port === undefined ? defaultPort : Number(port);
  if (name === "" || number < 1 || number > 65_535) return undefined;
  return { host: name.replace(/^\[|\]$/g, ""), port: number };
}
