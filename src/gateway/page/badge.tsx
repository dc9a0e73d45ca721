/** @jsxImportSource hono/jsx */
/** A state in a word, with a colour that says no more than the word. */
export type Tone = "good" | "poor" | "bad" | "none";

export function Badge({ tone, children }: { readonly tone: Tone; readonly children?: string | readonly string[] }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}
