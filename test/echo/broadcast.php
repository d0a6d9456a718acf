<?php
// Broadcasts as Laravel's RedisBroadcaster does with phpredis: php broadcast.php PORT PREFIX
//
// Each line of standard input is JSON: {"channels":[],"event":"","data":{},"socket":null,"old":false};
// each is answered with a line, which has how many heard it.

[, $port, $prefix] = $argv;
$redis = new Redis();
$redis->connect('127.0.0.1', (int) $port);
// Laravel sets it on its connection, and phpredis has no use for it in eval and publish.
$redis->setOption(Redis::OPT_PREFIX, $prefix);

$script = <<<'LUA'
for i = 2, #ARGV do
  redis.call('publish', ARGV[i], ARGV[1])
end
LUA;

while (($line = fgets(STDIN)) !== false) {
    $said = json_decode($line);
    $payload = $said->data;
    if (is_object($payload)) {
        $payload->socket = $said->socket ?? null; // of InteractsWithSockets; it stays in the copy that is data
    }
    $text = json_encode(['event' => $said->event, 'data' => $payload, 'socket' => $said->socket ?? null]);
    $channels = array_map(fn ($name) => $prefix . $name, $said->channels);
    if ($said->old ?? false) { // framework 5.3 to 6: one PUBLISH for each channel
        foreach ($channels as $channel) {
            $answer = $redis->rawCommand('PUBLISH', $channel, $text);
        }
    } else {
        $answer = $redis->eval($script, array_merge([$text], $channels), 0);
    }
    echo json_encode([$answer, $redis->getLastError()]), "\n";
}
