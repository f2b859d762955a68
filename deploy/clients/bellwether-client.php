#!/usr/bin/env php
<?php
// Who is the master? Asked of bellwether with nothing but PHP itself.
//
//     bellwether-client.php [ask|wait|follow [URL [NAME]]]
//
// `ask` prints the address once, `wait` follows it with long polls, `follow` with the stream of events.
declare(strict_types=1);

const SILENCE = 45; // seconds: over the 30 of a wait, and the 15 at which a silent stream sends a comment

class Refusal extends RuntimeException {} // its code: after how many seconds to ask again

/** 200, or 503 while there is no master; all else (a limit, a name that nobody knows yet) is a Refusal. */
function get(string $url, array $headers = []): array
{
    // HTTP/1.0 has no chunks: PHP's filter for them holds back what arrives together with the headers.
    $options = ['ignore_errors' => true, 'timeout' => SILENCE, 'protocol_version' => 1.0, 'header' => $headers];
    $stream = @fopen($url, 'r', false, stream_context_create(['http' => $options]));
    if ($stream === false) {
        throw new Refusal(error_get_last()['message']);
    }
    $lines = stream_get_meta_data($stream)['wrapper_data'];
    $status = (int) (explode(' ', $lines[0])[1] ?? 0);
    foreach ($lines as $line) {
        [$field, $value] = explode(': ', $line, 2) + [1 => ''];
        $of[strtolower($field)] = $value;
    }
    if ($status !== 200 && !($status === 503 && isset($of['x-bellwether-index']))) {
        throw new Refusal($lines[0], (int) ($of['retry-after'] ?? 0));
    }
    return [$stream, $status, $of];
}

/** Each answer comes when something about the master has changed, or the daemon was started again. */
function wait(string $base, string $name): Generator
{
    for ($query = '';;) {
        [$stream, $status, $of] = get("$base/masters/$name$query");
        $master = json_decode(stream_get_contents($stream), true, flags: JSON_THROW_ON_ERROR);
        yield $status === 200 ? $master['address'] : null;
        $last = $query;
        $query = "?wait=30s&index={$of['x-bellwether-index']}&instance={$of['x-bellwether-instance']}";
        if ($query === $last) { // nothing new, as when the daemon is about to stop: do not spin
            usleep(random_int(0, 1000000));
        }
    }
}

/** A stream that broke off goes on behind the last event that was seen. */
function follow(string $base, string $name, string &$seen): Generator
{
    [$stream] = get("$base/events?master=$name", ["Last-Event-ID: $seen"]);
    for ($event = ''; ($line = fgets($stream)) !== false;) {
        [$field, $value] = explode(': ', rtrim($line), 2) + [1 => ''];
        if ($field === 'id') {
            $seen = $value;
        } elseif ($field === 'event') {
            $event = $value;
        } elseif ($field === 'data' && $event === 'master') {
            $master = json_decode($value, true, flags: JSON_THROW_ON_ERROR);
            yield in_array($master['state'], ['ok', 'unverified'], true) ? $master['address'] : null;
        }
    }
    throw new Refusal('the stream ended');
}

[, $mode, $base, $name] = $argv + [1 => 'ask', 'http://127.0.0.1:8380', 'mymaster'];
if ($argc > 4 || !in_array($mode, ['ask', 'wait', 'follow'], true)) {
    fwrite(STDERR, "usage: bellwether-client.php [ask|wait|follow [URL [NAME]]]\n");
    exit(2);
}
$current = null;
for ($failures = 0, $seen = '';;) { // again and again, with jitter: all clients lose a daemon at the same moment
    $began = hrtime(true);
    try {
        foreach ($mode === 'follow' ? follow($base, $name, $seen) : wait($base, $name) as $address) {
            if ($address !== null && $address !== $current) {
                echo "$address\n"; // here your Redis client would connect anew; null: there is no master now
            }
            $current = $address;
            if ($address !== null && $mode === 'ask') {
                exit(0);
            }
        }
    } catch (Refusal | JsonException $error) {
        fwrite(STDERR, "again soon: {$error->getMessage()}\n");
        $failures = hrtime(true) - $began > 5e9 ? 0 : min($failures + 1, 5);
        $least = $error instanceof Refusal ? $error->getCode() : 0;
        usleep(1000000 * $least + random_int(50000, 200000 << $failures));
    }
}
