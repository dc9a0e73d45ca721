/**
 * Returns the value of `Authorization` for the cluster secret (RFC 6750). Programs other than our own send it; servers
 * compare it.
 */
export const bearer = (secret: string): string => `Bearer ${secret}`;
