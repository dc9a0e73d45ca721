/** How lists and the audit name who made a call. */
import type { Principal } from "../../control/server/authentication.ts";
import { nameOfSecret } from "../state/token-book.ts";

export const nameOfPrincipal = (principal: Principal): string =>
  principal.kind === "cluster" ? nameOfSecret : principal.name;
