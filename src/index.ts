/** The library: what `import … from "stead"` gives. The program is main.ts. */
export type { EmbeddedGateway, EmbeddedGatewayOptions } from "./embed/embedded-gateway.ts";
export { gateway } from "./embed/gateway.ts";
