/** One term as primary, as the front sees it. */
import type { Endings } from "./endings.ts";

export interface ServingTerm {
  readonly epoch: number;
  /** Log position of the last durable record. */
  readonly position: number;
  gate(): void | Promise<void>;
  /** The application's loopback address and port; they may change after a restart. */
  readonly applicationHost: string;
  readonly applicationPort: number;
  /** Resolves when the application accepts requests; it may be restarting. */
  whenReady(): Promise<void>;
  readonly isReady: boolean;
  /** Reports when the application ends by itself. */
  readonly endings: Pick<Endings, "listen" | "isNoticed" | "isUnderWay">;
  /** The application may end once more without being given up on this host. */
  readonly maySpareEnding: boolean;
  /** The application requested a checkpoint with `Stead-Checkpoint: now`. */
  onCheckpointAsked(): void;
}
