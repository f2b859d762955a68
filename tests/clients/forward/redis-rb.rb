# redis-rb with its ordinary options; it pops as Sidekiq does. Arguments: write,news,pop PORT NAME.
require "json"
require "redis"

$stdout.sync = true
modes, PORT, NAME = ARGV
LOCK = Mutex.new

def say(what)
  LOCK.synchronize { puts JSON.generate(what) }
end

def attempt
  yield
rescue StandardError => e # a subscription ends with an error of redis-client's, not of its own
  say(failed: "#{e.class}: #{e.message}")
  sleep 0.02
end

KINDS = {
  add: lambda { |redis, n|
    redis.sadd("#{NAME}:set", [n])
    redis.incr("#{NAME}:count")
  },
  pipe: ->(redis, n) { redis.pipelined { |pipe| 5.times { |i| pipe.sadd("#{NAME}:set", ["#{n}.#{i}"]) } } },
  swap: lambda { |redis, n|
    redis.watch("#{NAME}:at") do |watching|
      watching.get("#{NAME}:at")
      watching.multi do |transaction|
        transaction.set("#{NAME}:at", n)
        transaction.rpush("#{NAME}:log", n)
      end
    end
  },
  push: lambda { |redis, n|
    redis.rpush("#{NAME}:queue", n)
    redis.publish("#{NAME}:news", n)
  }
}.freeze

RUNS = {
  "write" => lambda { |redis|
    (0..).each do |n|
      kind, work = KINDS.to_a[n % 4]
      attempt do
        work.call(redis, n)
        say(did: kind, n: n)
      end
      sleep 0.01
    end
  },
  "news" => lambda { |redis|
    loop { attempt { redis.subscribe("#{NAME}:news") { |on| on.message { |_, news| say(news: news) } } } }
  },
  "pop" => lambda { |redis|
    loop do
      attempt do
        popped = redis.brpop("#{NAME}:queue", "#{NAME}:low", timeout: 2)
        say(popped: popped[1]) if popped
      end
    end
  }
}.freeze

modes.split(",").map { |mode| Thread.new { RUNS[mode].call(Redis.new(host: "127.0.0.1", port: PORT.to_i)) } }.each(&:join)
