// node-redis with RESP3 and otherwise its ordinary options. Arguments: write,news,pop PORT NAME.
import { createClient } from "redis";
import { key, perform, port } from "./program.mjs";

await perform({
  connect: () => createClient({ RESP: 3, socket: { host: "127.0.0.1", port } })
    .on("error", () => {}) // it connects again by itself
    .connect(),
  kinds: {
    add: async (redis, n) => {
      await redis.sAdd(key("set"), n);
      await redis.incr(key("count"));
    },
    pipe: (redis, n) => Promise.all([0, 1, 2, 3, 4].map((i) => redis.sAdd(key("set"), `${n}.${i}`))), // it pipelines by itself
    swap: async (redis, n) => {
      await redis.watch(key("at"));
      await redis.get(key("at"));
      await redis.multi().set(key("at"), n).rPush(key("log"), n).exec();
    },
    push: async (redis, n) => {
      await redis.rPush(key("queue"), n);
      await redis.publish(key("news"), n);
    },
  },
  listen: (redis, hear) => redis.subscribe(key("news"), hear),
  popOne: async (redis) => (await redis.blPop(key("queue"), 0)).element,
});
