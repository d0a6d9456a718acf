<?php
// Sends one event in one of the ways that PHP has: php send.php WAY URL SECRET. The
// ways but the last send it as the README does; the last as pusher-http-php 7.2
// sends its events, over Guzzle as well.
[, $way, $url, $secret] = $argv;

$payload = json_encode(['key1' => 'value1']);
$body = '{"event":"event-name","payload":' . $payload . '}';
$headers = ['Content-Type: application/json', 'Authorization: ' . sha1($secret . $payload)];

switch ($way) {
    case 'php-curl-send':
        $curl = curl_init($url);
        curl_setopt_array($curl, [
            CURLOPT_POSTFIELDS => $body,
            CURLOPT_HTTPHEADER => $headers,
            CURLOPT_RETURNTRANSFER => true,
        ]);
        exit(curl_exec($curl) === false ? 1 : 0);
    case 'php-stream-send':
        $http = ['method' => 'POST', 'header' => implode("\r\n", $headers), 'content' => $body];
        exit(file_get_contents($url, false, stream_context_create(['http' => $http])) === false ? 1 : 0);
    case 'php-guzzle-send':
    case 'php-guzzle-pusher':
        require '/usr/share/php/GuzzleHttp/autoload.php';
        $named = $way === 'php-guzzle-send'
            ? ['Content-Type' => 'application/json', 'Authorization' => sha1($secret . $payload)]
            : ['Content-Type' => 'application/json', 'X-Pusher-Library' => 'pusher-http-php 7.2.7'];
        (new GuzzleHttp\Client())->post($url, ['headers' => $named, 'body' => $body, 'http_errors' => false]);
}
