/** A raw HTTP server of a test behind the authenticated channel, with answers cut and broken as the test likes. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Keyring } from "../../../src/control/channel/keyring.ts";
import type { FrameWriter } from "../../../src/control/channel/frames.ts";
import { type AcceptedCall, ChannelServer } from "../../../src/control/channel/server.ts";
import { answerField, type Party } from "../../../src/control/channel/transcript.ts";
import { systemClock } from "../../../src/runtime/clock.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Calls `answer` for authenticated calls only, and seals what it writes; `end` ends the frames too. */
export function sealedHandler(secret: string, self: Party, answer: Handler): Handler {
  const channel = new ChannelServer(new Keyring([secret]), self, systemClock);
  return (request, response) => {
    const judgement = channel.judge({
      method: request.method ?? "",
      path: request.url ?? "",
      authorization: request.headers.authorization ?? "",
      fields: Object.entries(request.headers).map(([name, value]) => [name, String(value)] as const),
    });
    if (judgement.kind === "again") response.setHeader(answerField, judgement.field);
    if (judgement.kind !== "accepted") {
      response.writeHead(401).end();
      return;
    }
    answer(request, sealing(response, judgement.call.seal));
  };
}

function sealing(response: ServerResponse, seal: AcceptedCall["seal"]): ServerResponse {
  const raw = { writeHead: response.writeHead.bind(response), write: response.write.bind(response) };
  const rawEnd = response.end.bind(response);
  let frames: FrameWriter | undefined;
  const head = (status: number, fields: Record<string, string> = {}): void => {
    const sealed = seal(status, fields["content-type"] ?? (response.getHeader("content-type") as string | undefined));
    frames = sealed.frames;
    raw.writeHead(status, { ...fields, [answerField]: sealed.field });
  };
  const framesNow = (): FrameWriter => {
    if (frames === undefined) head(200);
    if (frames === undefined) throw new Error("no head");
    return frames;
  };
  return Object.assign(response, {
    writeHead(status: number, fields?: Record<string, string>) {
      head(status, fields);
      return response;
    },
    write(text: string | Uint8Array, done?: () => void) {
      return raw.write(framesNow().write(Buffer.from(text)), done as () => void);
    },
    end(text?: string | Uint8Array) {
      const last = framesNow();
      const body = text === undefined ? Buffer.alloc(0) : last.write(Buffer.from(text));
      rawEnd(Buffer.concat([body, last.close()]));
      return response;
    },
  });
}
