/**
 * The form of tokens, their roles, and what a call may require. Each role may do what those before it may; the cluster
 * secret may do everything. Which call needs which: src/gateway/admin/route-roles.ts.
 */

/**
 * `viewer` reads: status, SQL, metrics. `operator` moves the service and starts work: switchover, pause, drain,
 * checkpoint. `admin` also changes who and what belongs to the cluster: hosts, gateways, databases, tokens.
 */
export const tokenRoles = ["viewer", "operator", "admin"] as const;
export type TokenRole = (typeof tokenRoles)[number];

/** `secret`: no token suffices, because the call speaks for a process of the cluster. */
export const requiredRoles = [...tokenRoles, "secret"] as const;
export type RequiredRole = (typeof requiredRoles)[number];

export const isTokenRole = (text: string): text is TokenRole => (tokenRoles as readonly string[]).includes(text);

export const suffices = (role: TokenRole, required: RequiredRole): boolean =>
  requiredRoles.indexOf(role) >= requiredRoles.indexOf(required);

/** For refusals: `operator or admin`. */
export const rolesFrom = (required: RequiredRole): string =>
  required === "secret" ? "the cluster secret" : tokenRoles.slice(tokenRoles.indexOf(required)).join(" or ");

const form = /^stead_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/;

/** Returns the id in a token; undefined: the text has not the form of one. */
export const idOfToken = (text: string): string | undefined => form.exec(text)?.[1];
export const isTokenText = (text: string): boolean => form.test(text);
