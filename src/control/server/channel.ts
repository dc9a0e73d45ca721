/**
 * The channel (channel/transcript.ts) as a middleware: a request with its credentials gets the principal of the
 * cluster, and its answer is sealed. Mount it before `authenticate`, which judges all other requests.
 */
import type { Context, MiddlewareHandler } from "hono";
import type { AcceptedCall, ChannelServer } from "../channel/server.ts";
import type { FrameWriter } from "../channel/frames.ts";
import { answerField, type Party } from "../channel/transcript.ts";
import { peerMessageBytesMax } from "../peer-api.ts";
import type { Authenticated } from "./authentication.ts";
import { requireCaller } from "./certificate.ts";
import { answerRefusal, ApiRefusal } from "./refusal.ts";

/** The longest body of all calls; each call has a limit of its own besides. */
const bodyBytesMax = peerMessageBytesMax;

export function sealedChannel(channel: ChannelServer): MiddlewareHandler<Authenticated> {
  return async function judgeCall(c, next) {
    const { pathname, search } = new URL(c.req.url);
    const judgement = channel.judge({
      method: c.req.method,
      path: pathname + search,
      authorization: c.req.header("authorization") ?? "",
      fields: Object.entries(c.req.header()),
    });
    switch (judgement.kind) {
      case "none":
        return next();
      case "refused":
        throw unauthorized(judgement.why);
      case "again": {
        const answer = answerRefusal(c, unauthorized("signed for another run, server or time"));
        answer.headers.set(answerField, judgement.field);
        return answer;
      }
      case "accepted":
        if (!(await hasBody(c, judgement.call))) throw unauthorized("the body is not the one that was signed");
        requireCertifiedCaller(c, judgement.call.caller);
        c.set("principal", { kind: "cluster", caller: judgement.call.caller });
        await next();
        c.res = sealed(c.res, judgement.call);
    }
  };
}

function requireCertifiedCaller(c: Context<Authenticated>, caller: Party): void {
  const certificate = c.get("certificate");
  if (certificate !== undefined) requireCaller(certificate, caller);
}

const unauthorized = (why: string): ApiRefusal =>
  new ApiRefusal("unauthorized", {
    found: `not authenticated: ${why}`,
    advice: "secret and `cluster.name` must be the same on all gateways and hosts of the cluster",
  });

/** Reads the body, which handlers then find in the request. */
async function hasBody(c: Context, call: AcceptedCall): Promise<boolean> {
  const length = Number(c.req.header("content-length") ?? "0");
  if (c.req.header("transfer-encoding") !== undefined || !(length <= bodyBytesMax)) return false;
  return call.isBody(length === 0 ? new Uint8Array() : new Uint8Array(await c.req.arrayBuffer()));
}

function sealed(answer: Response, call: AcceptedCall): Response {
  const { field, frames } = call.seal(answer.status, answer.headers.get("content-type") ?? undefined);
  const headers = new Headers(answer.headers);
  headers.delete("content-length");
  headers.set(answerField, field);
  return new Response(framed(answer.body, frames), { status: answer.status, headers });
}

function framed(body: ReadableStream<Uint8Array> | null, frames: FrameWriter): ReadableStream<Uint8Array> {
  const reader = body?.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
      if (!done) return controller.enqueue(frames.write(value));
      controller.enqueue(frames.close());
      controller.close();
    },
    async cancel(reason) {
      await reader?.cancel(reason);
    },
  });
}
