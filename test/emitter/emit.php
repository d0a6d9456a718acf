<?php
// Publishes as rase/socket.io-emitter does, with phpredis and ext-msgpack: php emit.php PORT SCRIPT
// SCRIPT is that of emit.js.
[, $port, $script] = $argv;
$redis = new Redis();
$redis->connect('127.0.0.1', (int) $port);

$binary = false;
$value = function ($v) use (&$value, &$binary) {
    if (!is_array($v)) {
        return $v;
    }
    if (isset($v['$buffer'])) {
        $binary = true;
        return hex2bin($v['$buffer']);
    }
    return array_map($value, $v);
};

foreach (json_decode($script, true) as [$rooms, $except, $args]) {
    $binary = false;
    $packet = ['type' => 2, 'data' => array_map($value, $args), 'nsp' => '/'];
    if ($binary) {
        $packet['type'] = 5;
    }
    $packed = msgpack_pack([$packet, ['rooms' => $rooms, 'flags' => []]]);
    if ($binary) {
        // Hack of the library: what is a text becomes what msgpack-js took for a buffer.
        $packed = str_replace(pack('c', 0xda), pack('c', 0xd8), $packed);
        $packed = str_replace(pack('c', 0xdb), pack('c', 0xd9), $packed);
    }
    $redis->publish('socket.io#emitter', $packed);
}
