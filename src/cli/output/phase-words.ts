/** Names of phases for people; `catchUp` is that of code and JSON. */
export const phaseInWords = (phase: string): string => (phase === "catchUp" ? "catch-up" : phase);
