/**
 * A network of its own for each member: one network namespace per member, joined by a bridge in a namespace of its own,
 * and an observer's link into the namespace of the test. Needs root and iproute2.
 *
 * A cut is one-way and silent, as a network's own failures are: every member knows the others by permanent neighbour
 * entries, and a cut from A to B gives A a wrong hardware address for B, so that its packets reach no host. No reset
 * and no ICMP error tells A; packets of established connections are lost as well. (A `blackhole` route would answer
 * locally.)
 *
 * Names are unique per run. A janitor process removes everything when its input ends, so also when the test is killed.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { promisify } from "node:util";

const run = promisify(execFile);

export const observer = "observer";
/** A hardware address that no host has. */
const unusedAddress = "02:00:00:00:00:01";

interface Link {
  /** Undefined for the observer: the namespace of this process. */
  readonly namespace: string | undefined;
  readonly device: string;
  readonly address: string;
  readonly hardware: string;
}

export class Namespaces {
  readonly #links: ReadonlyMap<string, Link>;
  readonly #janitor: ChildProcess;
  readonly #cuts = new Set<string>();

  private constructor(links: ReadonlyMap<string, Link>, janitor: ChildProcess) {
    this.#links = links;
    this.#janitor = janitor;
  }

  static async create(members: readonly string[]): Promise<Namespaces> {
    const mark = randomBytes(3).toString("hex");
    const subnet = await freeSubnet();
    const hub = `stead-${mark}-hub`;
    const links = new Map<string, Link>();
    [observer, ...members].forEach((id, index) => {
      const hardware = `02:53:${mark.match(/../g)?.join(":") ?? ""}:${(index + 16).toString(16)}`;
      const own =
        id === observer
          ? { namespace: undefined, device: `st${mark}` }
          : { namespace: `stead-${mark}-${id}`, device: "eth0" };
      links.set(id, { ...own, address: `${subnet}.${index + 1}`, hardware });
    });
    const janitor = startJanitor(
      [hub, ...[...links.values()].flatMap(({ namespace }) => namespace ?? [])],
      links.get(observer)?.device ?? "",
    );
    const namespaces = new Namespaces(links, janitor);
    try {
      await namespaces.#build(hub);
    } catch (error) {
      await namespaces.close();
      throw error;
    }
    return namespaces;
  }

  addressOf(id: string): string {
    return this.#link(id).address;
  }

  /**
   * What starts a command inside a member's namespace; the process keeps its id. It has its own mount namespace too.
   */
  commandIn(id: string, command: readonly string[]): [string, ...string[]] {
    return ["ip", "netns", "exec", this.#link(id).namespace ?? "", ...command];
  }

  /** From now on nothing that one of `from` sends reaches one of `to`. */
  async cutOneWay(from: readonly string[], to: readonly string[]): Promise<void> {
    await this.#each(from, to, async (a, b) => {
      this.#cuts.add(`${a} ${b}`);
      await this.#neighbour(a, b, unusedAddress);
    });
  }

  /** Both ways. */
  async cut(some: readonly string[], others: readonly string[]): Promise<void> {
    await this.cutOneWay(some, others);
    await this.cutOneWay(others, some);
  }

  /** All processes reach each other again. */
  async heal(): Promise<void> {
    for (const cut of [...this.#cuts]) {
      const [from, to] = cut.split(" ") as [string, string];
      await this.#neighbour(from, to, this.#link(to).hardware);
      this.#cuts.delete(cut);
    }
  }

  async close(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.#janitor.once("exit", () => resolve()));
    if (this.#janitor.exitCode !== null) return;
    this.#janitor.stdin?.end();
    await gone;
  }

  async #build(hub: string): Promise<void> {
    await ip(["netns", "add", hub]);
    await batch(hub, ["link add br0 type bridge", "link set br0 up"]);
    let port = 0;
    for (const { namespace, device, address, hardware } of this.#links.values()) {
      port += 1;
      if (namespace !== undefined) await ip(["netns", "add", namespace]);
      const to = namespace === undefined ? [] : ["netns", namespace];
      await ip([
        "link",
        "add",
        "name",
        device,
        ...to,
        "address",
        hardware,
        "type",
        "veth",
        "peer",
        "name",
        `port${port}`,
        "netns",
        hub,
      ]);
      await batch(hub, [`link set port${port} master br0 up`]);
      await batch(namespace, [
        ...(namespace === undefined ? [] : ["link set lo up"]),
        `addr add ${address}/24 dev ${device}`,
        `link set ${device} up`,
      ]);
    }
    const ids = [...this.#links.keys()];
    for (const id of ids) {
      const { namespace, device } = this.#link(id);
      const others = ids.filter((other) => other !== id).map((other) => this.#link(other));
      await batch(
        namespace,
        others.map(
          ({ address, hardware }) => `neigh replace ${address} lladdr ${hardware} dev ${device} nud permanent`,
        ),
      );
    }
  }

  async #each(
    from: readonly string[],
    to: readonly string[],
    act: (a: string, b: string) => Promise<void>,
  ): Promise<void> {
    await Promise.all(from.flatMap((a) => to.filter((b) => b !== a).map((b) => act(a, b))));
  }

  async #neighbour(from: string, to: string, hardware: string): Promise<void> {
    const { namespace, device } = this.#link(from);
    await batch(namespace, [`neigh replace ${this.addressOf(to)} lladdr ${hardware} dev ${device} nud permanent`]);
  }

  #link(id: string): Link {
    const link = this.#links.get(id);
    if (link === undefined) throw new Error(`no member ${id} in the network`);
    return link;
  }
}

async function ip(args: readonly string[]): Promise<string> {
  return (await run("ip", [...args])).stdout;
}

/** Several commands of `ip` in one namespace. */
async function batch(namespace: string | undefined, lines: readonly string[]): Promise<void> {
  const args = [...(namespace === undefined ? [] : ["-n", namespace]), "-batch", "-"];
  const pending = run("ip", args);
  pending.child.stdin?.end(`${lines.join("\n")}\n`);
  await pending;
}

/** The first three parts of a private network that no address or route of this machine lies in. */
async function freeSubnet(): Promise<string> {
  const taken = `${await ip(["-4", "addr"])}${await ip(["-4", "route", "show", "table", "all"])}`;
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const subnet = `10.${randomInt(180, 250)}.${randomInt(0, 256)}`;
    if (!taken.includes(`${subnet}.`)) return subnet;
  }
  throw new Error("found no free private network");
}

function startJanitor(namespaces: readonly string[], device: string): ChildProcess {
  const script = 'cat >/dev/null; ip link del "$1"; shift; for one in "$@"; do ip netns del "$one"; done';
  const janitor = spawn("sh", ["-c", script, "sh", device, ...namespaces], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  janitor.unref();
  return janitor;
}
