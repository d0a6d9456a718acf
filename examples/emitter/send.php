<?php
// Emits one event as rase/socket.io-emitter does. Needs PHP 8.0 or newer with the extensions
// redis and msgpack.
//
//   php send.php [EVENT [PAYLOAD-AS-JSON [ROOM]]]
//
// Without ROOM the event goes to every connected client. The environment names the Redis:
// REDIS_HOST, REDIS_PORT, REDIS_PASSWORD.

$event = $argv[1] ?? 'event-name';
$payload = json_decode($argv[2] ?? '{"text":"hello from PHP"}', true, 512, JSON_THROW_ON_ERROR);
$rooms = array_slice($argv, 3);

try {
    $redis = new Redis();
    $redis->connect(getenv('REDIS_HOST') ?: '127.0.0.1', (int) (getenv('REDIS_PORT') ?: 6379), 5);
    if (getenv('REDIS_PASSWORD')) {
        $redis->auth(getenv('REDIS_PASSWORD'));
    }

    // 2 is an event; behind its name may be any number of arguments. Arrays with keys arrive as
    // objects; an object of PHP would have the name of its class in it.
    $packet = ['type' => 2, 'data' => [$event, $payload], 'nsp' => '/'];
    $heard = $redis->publish('socket.io#emitter', msgpack_pack([$packet, ['rooms' => $rooms, 'flags' => []]]));
    echo "sent to $heard servers\n";
} catch (RedisException $e) {
    fwrite(STDERR, "not sent: {$e->getMessage()}\n");
    exit(1);
}
