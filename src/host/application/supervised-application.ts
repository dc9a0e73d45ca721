/** An application under supervision, for its term, and its reports to the term. */
import type { ApplicationStatus } from "../../control/host-status.ts";
import type { Application } from "../ports/ports.ts";
import type { Endings } from "./endings.ts";

/** The application with what the front needs. */
export interface SupervisedApplication extends Application {
  readonly isReady: boolean;
  /** Its loopback address and port; known once it has started, and possibly different after a restart. */
  readonly address: string;
  readonly port: number;
  readonly status: ApplicationStatus;
  whenReady(): Promise<void>;
  readonly endings: Endings;
  /** For a drill: stops its processes, for this time at most. False: it does not run. Undefined: not possible. */
  freeze?(forMs: number): boolean;
  /** It may end once more without being given up. */
  readonly maySpareEnding: boolean;
}

/** The term that an application belongs to, for its supervisor. */
export interface ApplicationOwner {
  /** The application ended or was stuck more often than allowed; it no longer runs. */
  readonly onGaveUp: (reason: string) => void;
  /** Its status changed. */
  readonly onChange: () => void;
  readonly onWarning: (text: string) => void;
  /** Grows with the application's commits. */
  readonly commits: () => number;
}
