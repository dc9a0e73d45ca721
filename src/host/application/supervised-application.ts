/** An application under supervision: what a term sees of it, and what it tells its term. */
import type { ApplicationStatus } from "../../control/host-status.ts";
import type { Application } from "../ports/ports.ts";
import type { Endings } from "./endings.ts";

/** The application with what the front needs to know about it. */
export interface SupervisedApplication extends Application {
  readonly isReady: boolean;
  /**
   * Where it listens, a loopback address and a port; known once it has started, and another one after a restart
   * perhaps.
   */
  readonly address: string;
  readonly port: number;
  readonly status: ApplicationStatus;
  whenReady(): Promise<void>;
  readonly endings: Endings;
  /** It may end once more without being given up. */
  readonly maySpareEnding: boolean;
}

/** What an application's supervisor tells the term that it belongs to, and asks it. */
export interface ApplicationOwner {
  /** The application ended or was stuck more often than allowed; it does not run any more. */
  readonly onGaveUp: (reason: string) => void;
  /** Its status is another. */
  readonly onChange: () => void;
  readonly onWarning: (text: string) => void;
  /** Grows with what the application commits. */
  readonly commits: () => number;
}
