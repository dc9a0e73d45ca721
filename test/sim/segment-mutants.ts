/**
 * Mutants of the log in segments that need two claims at the same moment, and one of them a power failure in between:
 * the simulated cluster hardly ever shows them, so they are attacked directly.
 */
import type { Rules } from "../../src/core/rules.ts";
import { claimKey, sealKey } from "../../src/vault/log/segment/segment-key.ts";
import { commit, makeHost, readerOf, readToEnd } from "../support/vault/log-fixture.ts";
import { SteppedVault } from "../support/vault/stepped-segments.ts";

/** What went wrong; undefined: nothing, the rule is in force. */
type Verdict = Promise<string | undefined>;

/** Two claimants, and the first puts its seal after the second has taken over without it. */
export async function attackLateSeal(rules: Rules): Verdict {
  const vault = new SteppedVault(rules);
  await makeHost("a", vault.open()).lead();
  const slow = meeting(sealKey(2));
  const late = makeHost("b", vault.open(slow.onCall, 2));
  await readToEnd(late.reader);
  const claimed = late.claim();
  await slow.reached;
  await makeHost("c", vault.open(undefined, 3)).lead();
  slow.letGo();
  return (await claimed).kind === "claimed" ? "two hosts have claimed position 2" : undefined;
}

/** A claim that is visible and not durable is followed by another one, and lost with the power. */
export async function attackGap(rules: Rules): Verdict {
  const vault = new SteppedVault(rules);
  const old = await makeHost("a", vault.open()).lead();
  await vault.objects.putIfAbsent(claimKey(2), new Uint8Array(16));
  const stop = meeting(sealKey(3));
  let isDurable = false;
  const next = makeHost(
    "b",
    vault.open((call) => {
      isDurable ||= call === `put ${claimKey(2)}`;
      return stop.onCall(call);
    }, 2),
  );
  await readToEnd(next.reader);
  const claimed = next.claim();
  await stop.reached;
  if (!isDurable) await vault.objects.delete(claimKey(2));
  const appended = old.append(commit(7)).then(
    () => true,
    () => false,
  );
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  stop.letGo();
  await claimed;
  if (!(await appended)) return undefined;
  const hosts = (await readToEnd(readerOf(vault.open(undefined, 3)))).map(({ header }) => header.host);
  return hosts.filter((host) => host === "a").length < 2 ? "an acknowledged record is not in the log" : undefined;
}

/** The first put of a key waits until it is let go. */
function meeting(key: string): {
  readonly reached: Promise<void>;
  readonly letGo: () => void;
  readonly onCall: (call: string) => Promise<void> | undefined;
} {
  const [reached, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const onCall = (call: string): Promise<void> | undefined => {
    if (call !== `put ${key}`) return undefined;
    reached.resolve();
    return gate.promise;
  };
  return { reached: reached.promise, letGo: () => gate.resolve(), onCall };
}
