/** Contradictions between the settings of a gateway's listeners (contradictions.ts). */
import type { Problems } from "./problems.ts";
import type { FileContent } from "./schema.ts";

export function checkDataPlane(gateway: NonNullable<FileContent["gateway"]>, problems: Problems): void {
  const { tls } = gateway;
  checkFurther(gateway, problems);
  if (tls === undefined) return;
  checkCertificates(gateway, tls, problems);
  const names = new Set<string>();
  tls.certificate.forEach(({ server_name: name }, index) => {
    if (names.has(name))
      problems.add(["gateway", "tls", "certificate", index, "server_name"], {
        found: `"${name}", which has a certificate already`,
        accepted: "one certificate for each server name",
        advice: "remove one of them",
      });
    names.add(name);
  });
}

type Tls = NonNullable<NonNullable<FileContent["gateway"]>["tls"]>;

/** Files, or an authority that can reach a listener. */
function checkCertificates(
  { listener }: NonNullable<FileContent["gateway"]>,
  { acme, cert, key }: Tls,
  problems: Problems,
): void {
  if (acme === undefined && (cert === undefined || key === undefined))
    problems.add(["gateway", "tls", ...(cert === undefined ? [] : ["cert"])], {
      found:
        cert === undefined && key === undefined ? "no certificate" : `${cert === undefined ? "key" : "cert"} alone`,
      accepted: "cert and key, or [gateway.tls.acme]",
      advice: "add cert and key, the paths of PEM files, or an authority that issues them",
    });
  if (acme !== undefined && (cert !== undefined || key !== undefined))
    problems.add(["gateway", "tls", cert === undefined ? "key" : "cert"], {
      found: "files together with [gateway.tls.acme]",
      accepted: "one of the two; for other names [[gateway.tls.certificate]]",
      advice: "remove cert and key, or [gateway.tls.acme]",
    });
  if (acme?.challenge === "http-01" && !listener.some(({ serve }) => serve !== "tls"))
    problems.add(["gateway", "tls", "acme", "challenge"], {
      found: "http-01, and no listener without TLS, which the authority calls at port 80",
      accepted: 'a [[gateway.listener]] with serve = "redirect" or "plain", or challenge = "tls-alpn-01"',
      advice: 'add [[gateway.listener]] with listen = "0.0.0.0:80" and serve = "redirect"',
    });
}

/** The addresses beside `gateway.listen`. */
function checkFurther({ tls, listener }: NonNullable<FileContent["gateway"]>, problems: Problems): void {
  listener.forEach(({ serve, https_port: port }, index) => {
    const at = ["gateway", "listener", index] as const;
    if (serve === "tls" && tls === undefined)
      problems.add([...at, "serve"], {
        found: 'serve = "tls" without [gateway.tls]',
        accepted: "a gateway with certificates",
        advice: "add [gateway.tls] with cert and key",
      });
    if (serve === "redirect" && tls === undefined && port === undefined)
      problems.add([...at, "serve"], {
        found: 'serve = "redirect", and no listener of this gateway has TLS',
        accepted: "[gateway.tls], or https_port where another server has TLS",
        advice: "add [gateway.tls] with cert and key, or https_port",
      });
    if (serve !== "redirect" && port !== undefined)
      problems.add([...at, "https_port"], {
        found: `https_port with serve = "${serve}"`,
        accepted: 'https_port with serve = "redirect"',
        advice: "remove it",
      });
  });
}
