// /events with the eventsource package from npm, through a failover and a restart of the daemon.
import assert from "node:assert/strict";
import { test } from "node:test";
import { atEnd, findProgram, ifMissing, makeFolder, patient, redis, startCluster, startDaemon, until } from "./support.mjs";

const { EventSource, missing } = await import("eventsource").catch(ifMissing);
const lacking = [missing, !findProgram("redis-server") && "redis-server"].filter(Boolean);

// What comes in, and what was asked with.
function listen(t, url) {
  const heard = { masters: [], sentinels: [], opened: 0, errors: 0, askedWith: [] };
  const source = new EventSource(url, {
    fetch: (address, init) => {
      heard.askedWith.push(init.headers["Last-Event-ID"]);
      return fetch(address, init);
    },
  });
  atEnd(t, () => source.close());
  source.addEventListener("open", () => (heard.opened += 1));
  source.addEventListener("error", () => (heard.errors += 1));
  const note = (list) => (event) => list.push({ ...JSON.parse(event.data), id: event.lastEventId });
  source.addEventListener("master", note(heard.masters));
  source.addEventListener("sentinel", note(heard.sentinels));
  return { source, heard };
}

const numberOf = ({ id }) => Number(id.split("-")[1]);

test("eventsource", { skip: lacking.length > 0 && `${lacking.join(" and ")} is missing`, timeout: patient(300000) }, async (t) => {
  const folder = makeFolder(t);
  const cluster = await startCluster(t, folder);
  const daemon = await startDaemon(t, folder, cluster);
  const { heard } = listen(t, `${daemon.base}/events`);
  const isAt = (port) => (master) => master.state === "ok" && master.port === port;

  await until("the present comes", 15000, () => heard.masters.some(isAt(cluster.nodes[0].port)));

  await t.test("a failover", async () => {
    await cluster.nodes[0].stop("SIGKILL");
    const told = await until("the new master comes", 90000, () =>
      heard.masters.find((master) => master.state === "ok" && master.port !== cluster.nodes[0].port),
    );
    await until("it is asked for, too", 5000, async () => (await (await fetch(`${daemon.base}/master`)).json()).port === told.port);
    assert.ok(heard.masters.some((master) => master.stale && master.state !== "ok"), "the time without a master was told");
    await until("a Sentinel's switch comes", 20000, () =>
      heard.sentinels.some((event) => event.event === "+switch-master" && event.master === "mymaster"),
    );
    assert.equal(heard.opened, 1, "on one connection");
    const numbers = [...heard.masters, ...heard.sentinels].map(numberOf).sort((a, b) => a - b);
    assert.equal(new Set(numbers).size, numbers.length, "each number once");
  });

  await t.test("a restart of the daemon", async () => {
    const before = heard.masters.at(-1).port;
    const instance = heard.masters.at(-1).id.split("-")[0];
    await daemon.stop();
    await daemon.restart();
    const ofNew = () => heard.masters.filter(({ id }) => id.split("-")[0] !== instance);
    await until("it comes back by itself", 30000, () => heard.opened >= 2 && ofNew().length > 0);
    assert.ok(heard.askedWith.at(-1)?.startsWith(`${instance}-`), "with the last id it had");
    await until("the present comes", 15000, () => ofNew().some(isAt(before)));
  });

  await t.test("a failover after it", async () => {
    const before = heard.masters.at(-1).port;
    await cluster.nodes[0].start();
    const accepted = async () =>
      (await redis(cluster.sentinels[0].port, "SENTINEL FAILOVER mymaster")).startsWith("+OK");
    await until("the Sentinel accepts", 40000, accepted);
    await until("the next master comes", 90000, () => isAt(heard.masters.at(-1).port)(heard.masters.at(-1)) && heard.masters.at(-1).port !== before);
  });
});
