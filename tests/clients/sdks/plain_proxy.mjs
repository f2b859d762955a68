// What the daemon is put beside: Upstash's REST interface before one Redis, each command passed on as it comes. No rules,
// no pool, no failover; a connection for each request.
import http from "node:http";
import net from "node:net";
import RedisParser from "redis-parser";

const encode = (command) => Buffer.concat([
  Buffer.from(`*${command.length}\r\n`),
  ...command.flatMap((word) => {
    const bytes = Buffer.isBuffer(word) ? word : Buffer.from(typeof word === "string" ? word : JSON.stringify(word));
    return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n")];
  }),
]);

/** Send commands over a connection of their own; each reply goes to `hear`: a Buffer, an Error, digits, null or a list. */
function connect(port, commands, hear, failed) {
  const socket = net.connect(port, "127.0.0.1", () => socket.write(Buffer.concat(commands.map(encode))));
  const parser = new RedisParser({ returnBuffers: true, stringNumbers: true, returnReply: hear, returnError: hear, returnFatalError: failed });
  socket.on("data", (data) => parser.execute(data));
  socket.on("error", failed);
  socket.on("close", () => failed(new Error("Redis has closed the connection")));
  return socket;
}

const boundMs = 10000; // of a request

function ask(port, commands) {
  const replies = [];
  let socket;
  return new Promise((done, failed) => {
    const hear = (reply) => replies.push(reply) === commands.length && done(replies);
    socket = connect(port, commands, hear, failed).setTimeout(boundMs, () => failed(new Error("Redis does not answer")));
  }).finally(() => socket.destroy());
}

function valueOf(reply, base64, nested = true) {
  if (Buffer.isBuffer(reply)) {
    return JSON.stringify(reply.toString(base64 && (nested || !reply.equals(Buffer.from("OK"))) ? "base64" : "utf8"));
  }
  if (Array.isArray(reply)) {
    return `[${reply.map((one) => valueOf(one, base64)).join(",")}]`;
  }
  return reply instanceof Error ? JSON.stringify(reply.message) : String(reply);
}

const errorOf = (error) => JSON.stringify({ error: error.message });
const answerOf = (reply, base64) => (reply instanceof Error ? errorOf(reply) : `{"result":${valueOf(reply, base64, false)}}`);

/** [status, JSON] of a request. */
async function answer(port, { pathname, searchParams }, body, base64) {
  if (pathname === "/pipeline") {
    const replies = await ask(port, JSON.parse(body));
    return [200, `[${replies.map((reply) => answerOf(reply, base64)).join(",")}]`];
  }
  if (pathname === "/multi-exec") {
    const all = (await ask(port, [["MULTI"], ...JSON.parse(body), ["EXEC"]])).at(-1);
    return all instanceof Error ? [400, errorOf(all)] : [200, `[${all.map((reply) => answerOf(reply, base64)).join(",")}]`];
  }
  const options = [...searchParams].filter(([name]) => name !== "_token").flat().filter((word) => word !== "");
  const path = [...pathname.slice(1).split("/").map(decodeURIComponent), ...(body.length > 0 ? [body] : []), ...options];
  const [reply] = await ask(port, [pathname === "/" ? JSON.parse(body) : path]);
  return [reply instanceof Error ? 400 : 200, answerOf(reply, base64)];
}

/** A subscription as server-sent events. */
function follow(port, pathname, response) {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const tell = (words) => response.write(`data: ${words.map(String).join(",")}\n\n`);
  const [command, ...channels] = pathname.slice(1).split("/").map(decodeURIComponent);
  const socket = connect(port, [[command, ...channels]], tell, () => response.end());
  response.on("close", () => socket.destroy());
}

/** The proxy before the Redis on `redisPort`, for those who bring the token: {url, close}. */
export function startPlainProxy(redisPort, token) {
  const server = http.createServer(async (request, response) => {
    const send = (status, text) => response.writeHead(status, { "content-type": "application/json" }).end(text);
    try {
      const parts = [];
      for await (const part of request) {
        parts.push(part);
      }
      const url = new URL(request.url, "http://localhost");
      if (request.headers.authorization !== `Bearer ${token}` && url.searchParams.get("_token") !== token) {
        send(401, '{"error":"WRONGPASS invalid or missing auth token"}');
      } else if (/^\/p?subscribe\//.test(url.pathname)) {
        follow(redisPort, url.pathname, response);
      } else {
        send(...await answer(redisPort, url, Buffer.concat(parts), request.headers["upstash-encoding"] === "base64"));
      }
    } catch (error) {
      send(400, errorOf(error));
    }
  });
  return new Promise((done, failed) => {
    server.once("error", failed).listen(0, "127.0.0.1", () => done({
      url: `http://127.0.0.1:${server.address().port}`,
      close: () => {
        server.closeAllConnections();
        return new Promise((closed) => server.close(closed));
      },
    }));
  });
}
