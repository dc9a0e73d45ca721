/** How lists and the audit name who made a call. */
import { nameOfSecret } from "../../control/orderer.ts";
import type { Principal } from "../../control/server/authentication.ts";

export const nameOfPrincipal = (principal: Principal): string =>
  principal.kind === "cluster" ? nameOfSecret : principal.name;
