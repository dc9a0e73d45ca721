/** The certificates with which a front listens: only gateways of its cluster get through. */
import { identitiesOf, type TlsFiles } from "../../control/tls/cluster-tls.ts";
import { hasRole } from "../../control/tls/identity.ts";
import type { TlsCertificates } from "../../http/server/server-tls.ts";

export const frontCertificates = (cluster: string, { ca, cert, key }: TlsFiles): TlsCertificates => ({
  cert,
  key,
  clients: { ca, accepts: (socket) => hasRole(identitiesOf(socket), cluster, ["gateway"]) },
});
