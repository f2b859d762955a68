// @upstash/redis' Subscriber, as it is: what it makes of what is published, through failovers of either kind, and what it
// tells of refusals.
import assert from "node:assert/strict";
import { test } from "node:test";
import { atEnd, findProgram, ifMissing, makeFolder, patient, redis as tell, startCluster, startDaemon, until } from "./support.mjs";

const { Redis, missing } = await import("@upstash/redis").catch(ifMissing);
const lacking = [missing, !findProgram("redis-server") && "redis-server"].filter(Boolean);
const skip = lacking.length > 0 && `lacking: ${lacking.join(", ")}`;

const allowed = ["--redis-api", "loopback", "--commands", "default +subscribe +psubscribe"];
const client = (daemon, more = {}) => new Redis({ url: `${daemon.base}/redis`, token: "any", enableTelemetry: false, retry: false, ...more });

/** A subscriber, and what it was told: {subscriber, counts, messages, errors}. */
function listen(t, subscriber, isPattern = false) {
  const told = { subscriber, counts: [], messages: [], errors: [] };
  subscriber.on(isPattern ? "pmessage" : "message", (message) => told.messages.push(message));
  subscriber.on("subscribe", (count) => told.counts.push(count));
  subscriber.on("psubscribe", (count) => told.counts.push(count));
  subscriber.on("error", (error) => told.errors.push(error.message));
  atEnd(t, () => subscriber.unsubscribe());
  return told;
}

const master = async (daemon) => (await (await fetch(`${daemon.base}/master`)).json()).port;

test("what is published comes as it was sent", { skip, timeout: patient(150000) }, async (t) => {
  const folder = makeFolder(t);
  const cluster = await startCluster(t, folder, { size: 1 });
  const daemon = await startDaemon(t, folder, cluster, ...allowed);
  const redis = client(daemon);
  const channels = listen(t, redis.subscribe(["news", "other"]));
  const patterns = listen(t, redis.psubscribe("n*"), true);
  const plain = listen(t, client(daemon, { automaticDeserialization: false }).psubscribe(["n*"]), true);
  await until("all is confirmed", 10000, () => channels.counts.length === 2 && patterns.counts.length === 1 && plain.counts.length === 1);
  assert.match(await tell(cluster.nodes[0].port, "PUBSUB NUMSUB news"), /:1\r\n$/);
  const sent = [
    { a: 1, text: "two\nlines, and a comma" },
    [1, "2", null],
    "words, with a comma",
    "two\nlines\r\nand three",
    "one\ndata: message,other,forged",
    "ä, 語, 😀",
    "",
    "\n",
    "{ this is no JSON\n",
  ];
  for (const one of sent) {
    assert.equal(await redis.publish("news", one), 2, "one for the channel and one for the pattern, whoever listens");
  }
  await until("all has come", 10000, () => channels.messages.length === sent.length && plain.messages.length === sent.length);
  assert.deepEqual(channels.messages.map(({ channel, message }) => [channel, message]), sent.map((one) => ["news", one]));
  // what stands there is the text, or JSON where the text has lines
  assert.deepEqual(plain.messages.map(({ pattern, channel, message }) => [pattern, channel, message]), sent.map((one) => {
    const text = typeof one === "string" ? one : JSON.stringify(one);
    return ["n*", "news", /[\r\n]/.test(text) ? JSON.stringify(text) : text];
  }));
  // psubscribe() takes JSON only
  assert.deepEqual(patterns.messages.slice(0, 2).map(({ message }) => message), sent.slice(0, 2));
  // a document over several lines is the same document
  await tell(cluster.nodes[0].port, 'PUBLISH news "{\\n  \\"a\\": [1,\\r\\n2]\\n}"');
  await until("the document has come", 10000, () => channels.messages.length === sent.length + 1);
  assert.deepEqual(channels.messages.at(-1).message, { a: [1, 2] });
  assert.deepEqual(channels.errors, []);
  await channels.subscriber.unsubscribe(["news"]);
  assert.deepEqual(channels.subscriber.getSubscribedChannels(), ["other"]);
  if (Number(process.versions.node.split(".")[0]) < 20) {
    t.diagnostic("SKIPPED: Node 18 may keep the connection of a stream that was aborted, and read on");
    return;
  }
  await until("nobody listens to it any more", 30000, async () => {
    await redis.publish("news", "again");
    return /:0\r\n$/.test(await tell(cluster.nodes[0].port, "PUBSUB NUMSUB news"));
  });
});

test("refusals are errors", { skip, timeout: patient(120000) }, async (t) => {
  const folder = makeFolder(t);
  const cluster = await startCluster(t, folder, { size: 1 });
  const daemon = await startDaemon(t, folder, cluster, "--redis-api", "loopback");
  const denied = listen(t, client(daemon).subscribe("news"));
  await until("an error has come", 10000, () => denied.errors.length > 0);
  assert.match(denied.errors[0], /^NOPERM .*-@pubsub; the option commands takes \+subscribe/);
  const other = await startDaemon(t, folder, cluster, ...allowed);
  await tell(cluster.nodes[0].port, "ACL SETUSER default resetchannels &free &__sentinel__*");
  const secret = listen(t, client(other).subscribe("secret"));
  await until("Redis' own error has come", 10000, () => secret.errors.length > 0);
  assert.match(secret.errors[0], /^NOPERM /);
  const free = listen(t, client(other).subscribe("free"));
  await until("the other one is confirmed", 10000, () => free.counts.length > 0);
});

for (const [what, fail] of [
  ["kill -9", async (cluster) => cluster.nodes[0].stop("SIGKILL")],
  ["SENTINEL FAILOVER", async (cluster) => until("a Sentinel agrees", 40000, async () =>
    (await tell(cluster.sentinels[0].port, `SENTINEL FAILOVER ${cluster.name}`)).startsWith("+OK"))],
]) {
  test(`through a failover: ${what}`, { skip, timeout: patient(300000) }, async (t) => {
    const folder = makeFolder(t);
    const cluster = await startCluster(t, folder);
    const daemon = await startDaemon(t, folder, cluster, ...allowed, "--command-timeout", `${patient(60000)}ms`);
    const redis = client(daemon);
    const channel = listen(t, redis.subscribe("news"));
    const pattern = listen(t, redis.psubscribe("n*"), true);
    await until("all is confirmed", 10000, () => channel.counts.length === 1 && pattern.counts.length === 1);
    await redis.publish("news", { n: "before" });
    const last = ({ messages }) => messages.at(-1)?.message?.n;
    await until("the first has come", 10000, () => last(channel) === "before" && last(pattern) === "before");
    const old = await until("there is a master", 10000, () => master(daemon));
    await fail(cluster);
    await until("there is another master", 90000, async () => {
      const now = await master(daemon).catch(() => undefined);
      return now && now !== old;
    });
    // the same subscribers, which know of nothing
    await until("what is published there comes", 30000, async () => {
      await redis.publish("news", { n: "after" });
      return last(channel) === "after" && last(pattern) === "after";
    });
    assert.deepEqual([channel.counts, pattern.counts], [[1], [1]], "nothing is confirmed twice");
    assert.deepEqual([...channel.errors, ...pattern.errors], []);
    const seen = new Set(channel.messages.map(({ message }) => message.n));
    assert.deepEqual([...seen], ["before", "after"]);
  });
}
