/** The parts of a gateway that its configuration chooses: the data plane, and where its certificate comes from. */
import type { GatewayConfig } from "../config/types.ts";
import type { ClusterTls } from "../control/tls/cluster-tls.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/log.ts";
import { CertificateOrders, type CertificateOrdersOptions } from "./acme/certificate-orders.ts";
import { LocalDataPlane, type DataPlane } from "./route/data-plane.ts";
import { WorkerPool } from "./workers/worker-pool.ts";

export interface DataPlaneParts {
  /** In force now. */
  readonly settings: () => GatewayConfig;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tls: ClusterTls | undefined;
  /** Program and arguments of a worker process. */
  readonly worker: readonly [string, ...string[]] | undefined;
  /** A worker ended without being told to, and is replaced. */
  onWorkerLost(detail: string): void;
}

/** In this process, or in several. */
export function dataPlaneOf({ worker, onWorkerLost, ...parts }: DataPlaneParts): DataPlane {
  const { settings } = parts;
  const count = settings().workers;
  if (count === 1) return new LocalDataPlane(parts);
  if (worker === undefined) throw new Error("more than one worker, and no command to start them");
  return new WorkerPool({
    ...parts,
    count,
    command: worker,
    drainMs: () => settings().drainTimeoutMs,
    onLost: onWorkerLost,
  });
}

/** Undefined: an operator has the certificate's files, or there is no TLS. Throws `AcmeFolderError`. */
export async function certificateOrdersOf(
  { id: gateway, dataPlane }: Pick<GatewayConfig, "id" | "dataPlane">,
  parts: Omit<CertificateOrdersOptions, "config" | "certificatePath" | "gateway">,
): Promise<CertificateOrders | undefined> {
  const { acme: config, certPath: certificatePath = "" } = dataPlane.tls ?? {};
  return config === undefined ? undefined : CertificateOrders.prepare({ ...parts, config, certificatePath, gateway });
}
