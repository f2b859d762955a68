// ioredis with its ordinary options: it sends again what was under way. Arguments: write,news,pop PORT NAME.
import { Redis } from "ioredis";
import { key, perform, port } from "./program.mjs";

const worked = (replies) => replies.forEach(([error]) => {
  if (error) {
    throw error;
  }
});

await perform({
  connect: () => new Redis(port, "127.0.0.1").on("error", () => {}), // it connects again by itself
  kinds: {
    add: async (redis, n) => {
      await redis.sadd(key("set"), n);
      await redis.incr(key("count"));
    },
    pipe: async (redis, n) => {
      const pipeline = redis.pipeline();
      [0, 1, 2, 3, 4].forEach((i) => pipeline.sadd(key("set"), `${n}.${i}`));
      worked(await pipeline.exec());
    },
    swap: async (redis, n) => {
      await redis.watch(key("at"));
      await redis.get(key("at"));
      worked(await redis.multi().set(key("at"), n).rpush(key("log"), n).exec());
    },
    push: async (redis, n) => {
      await redis.rpush(key("queue"), n);
      await redis.publish(key("news"), n);
    },
  },
  listen: (redis, hear) => redis.on("message", (_, news) => hear(news)).subscribe(key("news")),
  popOne: async (redis) => (await redis.blpop(key("queue"), 0))[1],
});
