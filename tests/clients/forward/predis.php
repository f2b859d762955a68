<?php // Predis with its ordinary options; who waits for what comes needs read_write_timeout. Arguments: MODE PORT NAME.
error_reporting(E_ALL & ~E_DEPRECATED); // it is older than this PHP
require 'Predis/Autoloader.php';
Predis\Autoloader::register();
[, $mode, $port, $name] = $argv;

function say(array $what): void
{
    fwrite(STDOUT, json_encode($what) . "\n") or exit(1);
}

function attempt(callable $work): void
{
    try {
        $work();
    } catch (Throwable $error) { // its PubSub can't stand an error as the answer to SUBSCRIBE
        say(['failed' => $error->getMessage()]);
        usleep(20000);
    }
}

$redis = new Predis\Client(['host' => '127.0.0.1', 'port' => $port] + ($mode === 'write' ? [] : ['read_write_timeout' => -1]));
$kinds = [
    'add' => function (int $n) use ($redis, $name) {
        $redis->sadd("$name:set", [$n]);
        $redis->incr("$name:count");
    },
    'pipe' => fn (int $n) => $redis->pipeline(function ($pipe) use ($name, $n) {
        for ($i = 0; $i < 5; $i++) {
            $pipe->sadd("$name:set", ["$n.$i"]);
        }
    }),
    'swap' => fn (int $n) => $redis->transaction(['cas' => true, 'watch' => "$name:at"], function ($transaction) use ($name, $n) {
        $transaction->get("$name:at");
        $transaction->multi();
        $transaction->set("$name:at", $n);
        $transaction->rpush("$name:log", [$n]);
    }),
    'push' => function (int $n) use ($redis, $name) {
        $redis->rpush("$name:queue", [$n]);
        $redis->publish("$name:news", $n);
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
while ($mode === 'news') {
    attempt(function () use ($redis, $name) {
        foreach ($redis->pubSubLoop(['subscribe' => "$name:news"]) as $message) {
            if ($message->kind === 'message') {
                say(['news' => $message->payload]);
            }
        }
    });
}
while ($mode === 'pop') {
    attempt(fn () => say(['popped' => $redis->blpop(["$name:queue"], 0)[1]]));
}
