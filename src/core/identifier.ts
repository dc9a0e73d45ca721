/** Names of services, hosts and gateways: short, and harmless in paths, records, rows, metrics and terminals. */
export const identifierAccepted =
  "1 to 32 lower-case letters, digits, hyphens or underscores, beginning and ending with a letter or digit";

export const isIdentifier = (text: string): boolean => /^[a-z0-9](?:[a-z0-9_-]{0,30}[a-z0-9])?$/.test(text);
