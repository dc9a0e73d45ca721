/**
 * Which of several drills that were ordered at the same moment begins: at most one in the cluster.
 *
 * A gateway first writes its order for all to see, then asks the others whether they know it, and what they know
 * (gateway/peers/confirmations.ts), and decides here. Why two never begin:
 * - Each needs a majority of the registered gateways, so at least one gateway, perhaps one of the two, has confirmed
 *   both orders; the later of them to be confirmed there learned of the other.
 * - It gives way, unless the other has not begun, will learn of this order (its gateway has confirmed it), and comes
 *   after it. The other then gives way, by the same comparison.
 */
export interface OrderedDrill {
  readonly id: string;
  readonly service: string;
  readonly gateway: string;
  /** By the wall clock of its gateway: only a sequence that all gateways see alike. */
  readonly orderedAtMs: number;
  readonly hasBegun: boolean;
}

export interface DrillOrderQuestion {
  readonly own: OrderedDrill;
  readonly others: readonly OrderedDrill[];
  /** Gateways that know the own order, the own one included, and whose knowledge this gateway has. */
  readonly confirmed: ReadonlySet<string>;
  readonly registered: readonly string[];
}

/** Returns why the own drill does not begin; undefined: it begins. */
export function whyGiveWay({ own, others, confirmed, registered }: DrillOrderQuestion): string | undefined {
  const silent = registered.filter((gateway) => !confirmed.has(gateway));
  if (silent.length * 2 >= registered.length)
    return `no majority of the gateways would know of it: no answer from ${silent.join(", ")}`;
  const first = others.find((other) => other.hasBegun || !confirmed.has(other.gateway) || comesBefore(other, own));
  return first === undefined ? undefined : drillRuns(first);
}

export const drillRuns = ({ service, gateway }: Pick<OrderedDrill, "service" | "gateway">): string =>
  `a drill of ${service} is running on ${gateway}`;

const comesBefore = (a: OrderedDrill, b: OrderedDrill): boolean =>
  a.orderedAtMs === b.orderedAtMs ? a.id < b.id : a.orderedAtMs < b.orderedAtMs;
