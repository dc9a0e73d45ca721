/** Addresses whose claims about the client are trusted: single addresses and CIDR ranges, IPv4 and IPv6. */
import { BlockList, isIP } from "node:net";

export class TrustedProxies {
  readonly #list = new BlockList();
  readonly isEmpty: boolean;

  /** Throws a RangeError that names an entry which is not an address or range. */
  constructor(entries: readonly string[]) {
    this.isEmpty = entries.length === 0;
    for (const entry of entries) this.#add(entry);
  }

  has(address: string): boolean {
    if (this.isEmpty) return false;
    const plain = plainAddress(address);
    const family = isIP(plain);
    return family !== 0 && this.#list.check(plain, family === 4 ? "ipv4" : "ipv6");
  }

  #add(entry: string): void {
    const slash = entry.indexOf("/");
    const address = slash === -1 ? entry : entry.slice(0, slash);
    const family = isIP(address);
    const bits = slash === -1 ? (family === 4 ? 32 : 128) : Number(entry.slice(slash + 1));
    if (
      family === 0 ||
      !/^(?:\/\d{1,3})?$/.test(slash === -1 ? "" : entry.slice(slash)) ||
      bits > (family === 4 ? 32 : 128)
    ) {
      throw new RangeError(
        `trusted proxy "${entry}" is not an address or range; accepted are 10.0.0.7, 10.0.0.0/8, fd00::1, fd00::/8`,
      );
    }
    this.#list.addSubnet(address, bits, family === 4 ? "ipv4" : "ipv6");
  }
}

/** Returns an IPv4 address that arrived through an IPv6 socket as IPv4. */
export function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}
