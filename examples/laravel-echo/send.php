<?php
// Broadcasts one event as Laravel's redis broadcaster does, without Laravel. Needs PHP 8.0 or
// newer with phpredis.
//
//   php send.php [EVENT [DATA-AS-JSON [CHANNEL]]]
//
// The names of private and presence channels begin with private- and presence-. The environment
// names the Redis as that of Laravel does: REDIS_HOST, REDIS_PORT, REDIS_PASSWORD, REDIS_PREFIX.

$event = $argv[1] ?? 'OrderShipped';
$data = json_decode($argv[2] ?? '{"id":7}', false, 512, JSON_THROW_ON_ERROR);
$channel = $argv[3] ?? 'orders';

try {
    $redis = new Redis();
    $redis->connect(getenv('REDIS_HOST') ?: '127.0.0.1', (int) (getenv('REDIS_PORT') ?: 6379), 5);
    if (getenv('REDIS_PASSWORD')) {
        $redis->auth(getenv('REDIS_PASSWORD'));
    }

    // A socket, the id that Echo has in X-Socket-ID, is of the page that is left out.
    $message = ['event' => 'App\\Events\\' . $event, 'data' => $data, 'socket' => null];
    $prefix = getenv('REDIS_PREFIX') ?: 'laravel_database_';
    $heard = $redis->publish($prefix . $channel, json_encode($message, JSON_THROW_ON_ERROR));
    echo "sent to $heard servers\n";
} catch (RedisException $e) {
    fwrite(STDERR, "not sent: {$e->getMessage()}\n");
    exit(1);
}
