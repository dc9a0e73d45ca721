/** The sockets of the runtime that this process runs on. */
import { bunTcp } from "./bun-tcp.ts";
import { nodeTcp } from "./node-tcp.ts";
import type { Tcp } from "./tcp.ts";

export const systemTcp: Tcp = "Bun" in globalThis ? bunTcp : nodeTcp;
