/** @jsxImportSource hono/jsx */
/**
 * The frame of every view: head, navigation, and the element that live updates replace. Everything is from this
 * listener; the Content-Security-Policy (page.tsx) refuses the rest.
 */
import type { Child } from "hono/jsx";
import type { TokenRole } from "../../control/token.ts";

/** Who looks, and what orders need. */
export interface Visitor {
  readonly name: string;
  readonly role: TokenRole;
  /** For forms (session.ts). */
  readonly proof: string;
}

export interface View {
  readonly title: string;
  /** The path of its entry in the navigation. */
  readonly entry: string;
  /** It follows the state by itself: no result that was asked for once, and no form to fill in. */
  readonly isLive: boolean;
  readonly body: Child;
}

export const entries: readonly (readonly [path: string, name: string])[] = [
  ["/", "Overview"],
  ["/failovers", "Failovers"],
  ["/plan", "What if"],
  ["/sight", "Who sees whom"],
  ["/drills", "Drills"],
  ["/events", "Events"],
  ["/data", "Data"],
  ["/suspects", "Suspects"],
  ["/configuration", "Configuration"],
  ["/sql", "SQL"],
];

interface DocumentProps {
  readonly gateway: string;
  readonly view: View;
  readonly visitor: Visitor;
  /** The path whose stream refreshes the view; undefined: it does not change by itself. */
  readonly live: string | undefined;
}

export function Document({ gateway, view, visitor, live }: DocumentProps) {
  return (
    <Html title={`${view.title} · stead ${gateway}`}>
      <a class="skip" href="#main">
        To the content
      </a>
      <header>
        <a class="brand" href="/">
          stead <span>{gateway}</span>
        </a>
        <nav aria-label="Views">
          <ul>
            {entries.map(([path, name]) => (
              <li>
                <a href={path} {...(path === view.entry ? { "aria-current": "page" } : {})}>
                  {name}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <form method="post" action="/sign-out" class="visitor">
          <input type="hidden" name="proof" value={visitor.proof} />
          <span>
            {visitor.name} <small>{visitor.role}</small>
          </span>
          <button type="submit">Sign out</button>
        </form>
      </header>
      {live === undefined ? null : (
        <p id="link" class="link" role="status" data-live={live}>
          Live updates need script; reload for the present state.
        </p>
      )}
      <main id="main" tabindex={-1}>
        {view.body}
      </main>
    </Html>
  );
}

interface SignInProps {
  /** What was wrong with the last try. */
  readonly refused: string | undefined;
  /** Where to go then. */
  readonly next: string;
}

export function SignIn({ refused, next }: SignInProps) {
  return (
    <Html title="Sign in · stead">
      <main id="main" class="sign-in">
        <h1>stead</h1>
        {refused === undefined ? null : (
          <p class="refused" role="alert">
            {refused}
          </p>
        )}
        <form method="post" action="/sign-in">
          <input type="hidden" name="next" value={next} />
          <label for="token">Token</label>
          <input id="token" name="token" type="password" autocomplete="current-password" required />
          <button type="submit" class="primary">
            Sign in
          </button>
        </form>
        <p>
          An administrator makes one with <code>stead token add NAME --role viewer</code> (or <code>operator</code>, to
          order switchovers and checkpoints here).
        </p>
      </main>
    </Html>
  );
}

function Html({ title, children }: { readonly title: string; readonly children?: Child }) {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>{title}</title>
        <link rel="icon" href="/page/icon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/page/style.css" />
        <script src="/page/live.js" defer />
      </head>
      <body>{children}</body>
    </html>
  );
}

/** What the API refused, for people: found, accepted, what to do. */
export function RefusedView({
  title,
  found,
  accepted,
  advice,
}: {
  readonly title: string;
  readonly found: string;
  readonly accepted?: string | undefined;
  readonly advice: string;
}) {
  return (
    <section class="refused" role="alert">
      <h1>{title}</h1>
      <dl>
        <dt>Found</dt>
        <dd>{found}</dd>
        {accepted === undefined ? null : (
          <>
            <dt>Accepted</dt>
            <dd>{accepted}</dd>
          </>
        )}
        <dt>Do</dt>
        <dd>{advice}</dd>
      </dl>
      <p>
        <a href="/">Back to the overview</a>
      </p>
    </section>
  );
}
