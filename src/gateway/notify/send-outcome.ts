/** How one attempt to tell ended. `permanent`: another attempt would be answered the same. */
export type SendOutcome =
  | { readonly kind: "told" }
  | { readonly kind: "failed"; readonly why: string; readonly permanent: boolean };
