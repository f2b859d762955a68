<?php // PHP's own sessions, kept by phpredis: a counter in one. Arguments: PORT NAME.
[, $port, $name] = $argv;
ini_set('session.save_handler', 'redis');
ini_set('session.save_path', "tcp://127.0.0.1:$port");
ini_set('session.use_cookies', '0');
ini_set('session.cache_limiter', '');

for (;;) {
    try {
        session_id($name);
        session_start();
        $n = $_SESSION['n'] = ($_SESSION['n'] ?? -1) + 1;
        $said = session_write_close() ? ['did' => 'session', 'n' => $n] : ['failed' => 'it is not written'];
    } catch (RedisException $error) {
        $said = ['failed' => $error->getMessage()];
        session_abort();
    }
    fwrite(STDOUT, json_encode($said) . "\n") or exit(1);
    usleep(20000);
}
