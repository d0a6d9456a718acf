<?php
// Posts what the Laravel package of the Node server posted: an event and a
// payload and no room, with the headers that Guzzle adds.
[, $url, $secret] = $argv;

$event = 'App\Events\OrderShipped';
$payload = ['order' => ['id' => 7, 'url' => 'https://shop.example/orders/7', 'total' => 12.5], 'note' => 'déjà vu'];
$token = sha1($secret . json_encode($payload));
$headers = [
    'Content-Type: application/json',
    'Authorization: ' . $token,
    'User-Agent: GuzzleHttp/7',
    'Accept: application/json',
];
$context = stream_context_create(['http' => [
    'method' => 'POST',
    'protocol_version' => 1.1,
    'header' => implode("\r\n", [...$headers, 'Connection: close']),
    'content' => json_encode(['event' => $event, 'payload' => $payload]),
    'ignore_errors' => true,
    'timeout' => 30,
]]);
file_get_contents($url, false, $context);
echo $http_response_header[0] ?? 'no answer', "\n", json_encode($payload), "\n";
