/** The library: what `import … from "stead"` gives. The program is main.ts. */
export { gateway, type EmbeddedGateway, type EmbeddedGatewayOptions } from "./embed/gateway.ts";
