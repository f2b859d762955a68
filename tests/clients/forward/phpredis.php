<?php // phpredis. Who waits for what comes needs OPT_READ_TIMEOUT -1, and who pipelines a short one: when the connection ends
// amid the answers it connects again and waits for the rest, which nobody was asked for. Arguments: MODE PORT NAME.
[, $mode, $port, $name] = $argv;

function say(array $what): void
{
    fwrite(STDOUT, json_encode($what) . "\n") or exit(1);
}

function attempt(callable $work): void
{
    try {
        $work();
    } catch (RedisException $error) {
        say(['failed' => $error->getMessage()]);
        usleep(20000);
    }
}

function sure(mixed $reply): void
{
    if ($reply === false) { // of a transaction, or an error of Redis
        throw new RedisException('refused');
    }
}

function connect(int $port, int $timeout): Redis
{
    $redis = new Redis();
    $redis->connect('127.0.0.1', $port);
    $redis->setOption(Redis::OPT_READ_TIMEOUT, $timeout);
    return $redis;
}

while ($mode === 'news') { // a connection that was lost is not subscribed again
    attempt(fn () => connect($port, -1)->subscribe(["$name:news"], fn ($_, $channel, $news) => say(['news' => $news])));
}
$redis = connect($port, $mode === 'write' ? 7 : -1);
$kinds = [
    'add' => function (int $n) use ($redis, $name) {
        sure($redis->sAdd("$name:set", $n));
        sure($redis->incr("$name:count"));
    },
    'pipe' => function (int $n) use ($redis, $name) {
        $pipe = $redis->pipeline();
        for ($i = 0; $i < 5; $i++) {
            $pipe->sAdd("$name:set", "$n.$i");
        }
        sure($pipe->exec());
    },
    'swap' => function (int $n) use ($redis, $name) {
        sure($redis->watch("$name:at"));
        $redis->get("$name:at");
        sure($redis->multi()->set("$name:at", $n)->rPush("$name:log", $n)->exec());
    },
    'push' => function (int $n) use ($redis, $name) {
        sure($redis->rPush("$name:queue", $n));
        sure($redis->publish("$name:news", (string) $n));
    },
];
for ($n = 0; $mode === 'write'; $n++) {
    $kind = array_keys($kinds)[$n % 4];
    attempt(function () use ($kinds, $kind, $n) {
        $kinds[$kind]($n);
        say(['did' => $kind, 'n' => $n]);
    });
    usleep(10000);
}
while ($mode === 'pop') {
    attempt(function () use ($redis, $name) {
        $popped = $redis->blPop(["$name:queue"], 0);
        sure($popped);
        say(['popped' => $popped[1]]);
    });
}
