/** What `stead explain` says about one code. */

export interface CodeMeaning {
  /** What has happened, or what the code says. One sentence or two. */
  readonly means: string;
  /** What clients of the service notice. */
  readonly clients: string;
  /** What to do about it. */
  readonly advice: string;
}

export const codeMeaning = (means: string, clients: string, advice: string): CodeMeaning => ({
  means,
  clients,
  advice,
});

/** For `clients`. */
export const nothing = "Nothing.";
