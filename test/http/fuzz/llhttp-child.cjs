/**
 * The trusted parser: llhttp as shipped with Node, strict (no lenient flags), behind Node's own binding.
 *
 * Reads inputs from standard input, each as [u8 kind][u32le length][bytes]; writes one JSON line per input:
 * {"messages":[[method|status, target|reason, version, headers, body, trailers]], "end":"ok"|"incomplete"|code}.
 * kind 0: requests, 1: responses to GET until the end of the connection, 2: responses to HEAD.
 */
"use strict";
process.removeAllListeners("warning");
const { HTTPParser, methods, allMethods } = process.binding("http_parser");
const methodNames = allMethods ?? methods;
const { kOnHeaders, kOnHeadersComplete, kOnBody, kOnMessageComplete } = HTTPParser;

function parse(kind, bytes) {
  const messages = [];
  let message;
  let extra = [];
  let stop = false;
  const parser = new HTTPParser();
  parser.initialize(kind === 0 ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {}, 1 << 20, 0);
  // The binding flushes fields early (trailers of one message make it do so for the heads that follow), with the target.
  let flushedUrl;
  parser[kOnHeaders] = (headers, url) => {
    if (message === undefined) {
      extra.push(...headers);
      flushedUrl = url;
    } else message[5].push(...headers);
  };
  parser[kOnHeadersComplete] = (major, minor, headers, method, url, status, reason, upgrade) => {
    const all = [...extra, ...(headers ?? [])];
    extra = [];
    message = kind === 0 ? [methodNames[method], url ?? flushedUrl, `${major}.${minor}`, all, "", []] : [status, reason, `${major}.${minor}`, all, "", []];
    if (upgrade) stop = true;
    return kind === 2 ? 1 : 0;
  };
  parser[kOnBody] = (chunk, offset, length) => {
    message[4] += (offset === undefined ? chunk : chunk.subarray(offset, offset + length)).toString("latin1");
  };
  parser[kOnMessageComplete] = () => {
    if (message !== undefined) messages.push(message);
    message = undefined;
  };
  const result = parser.execute(bytes, 0, bytes.length);
  let end = "ok";
  if (result instanceof Error) end = result.code;
  else if (stop) end = "upgrade";
  else if (message !== undefined || kind !== 0) {
    const finished = kind === 0 ? undefined : parser.finish();
    if (finished instanceof Error) end = finished.code;
    else if (message !== undefined) end = "incomplete";
  }
  parser.close?.();
  return { messages, end };
}

let buffered = Buffer.alloc(0);
process.stdin.on("data", (chunk) => {
  buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
  let at = 0;
  let out = "";
  while (buffered.length - at >= 5) {
    const length = buffered.readUInt32LE(at + 1);
    if (buffered.length - at < 5 + length) break;
    out += `${JSON.stringify(parse(buffered[at], buffered.subarray(at + 5, at + 5 + length)))}\n`;
    at += 5 + length;
  }
  buffered = buffered.subarray(at);
  if (out !== "") process.stdout.write(out);
});
