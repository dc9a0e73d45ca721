/** Contradictions between the settings of a gateway's listeners (contradictions.ts). */
import type { Problems } from "./problems.ts";
import type { FileContent } from "./schema.ts";

export function checkDataPlane(gateway: NonNullable<FileContent["gateway"]>, problems: Problems): void {
  const { tls, app, proxy_protocol_from: balancers } = gateway;
  checkFurther(gateway, problems);
  if (app && balancers.length > 0)
    problems.add(["gateway", "app"], {
      found: "gateway.app together with the PROXY protocol, which that listener does not read",
      accepted: "one of the two",
      advice:
        "remove gateway.app, or let the load balancer name the client in X-Forwarded-For (gateway.trusted_proxies)",
    });
  if (tls === undefined) return;
  if (balancers.length > 0) {
    problems.add(["gateway", "proxy_protocol_from"], {
      found: "the PROXY protocol together with [gateway.tls]",
      accepted: "one of the two",
      advice:
        "let the load balancer that sends the PROXY protocol terminate TLS, or let it pass TLS without the PROXY protocol",
    });
  }
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
