<?php
/**
 * Calls the HTTP API as the official PHP library does, with its own way of signing
 * (pusher-http-php 7.2, Pusher::build_auth_query_params and array_implode).
 *
 * sender.php SETTINGS METHOD PATH PARAMETERS BODY: the first, PARAMETERS and BODY
 * as JSON; an empty BODY is none. Prints the status and the body of the answer, and
 * whether it is that of a request before.
 * sender.php SETTINGS authorize SOCKET CHANNEL DATA prints what lets a client in, as
 * Pusher::socket_auth does, and sender.php SETTINGS webhook BODY the signature that
 * Pusher::ensure_valid_signature wants.
 */
$settings = json_decode($argv[1], true);
if ($argv[2] === 'authorize') {
    $text = $argv[3] . ':' . $argv[4] . ($argv[5] === '' ? '' : ':' . $argv[5]);
    $answer = ['auth' => $settings['key'] . ':' . hash_hmac('sha256', $text, $settings['secret'], false)];
    if ($argv[5] !== '') {
        $answer['channel_data'] = $argv[5];
    }
    echo json_encode($answer, JSON_UNESCAPED_SLASHES);
    exit;
}
if ($argv[2] === 'webhook') {
    echo json_encode(hash_hmac('sha256', $argv[3], $settings['secret']));
    exit;
}
$method = $argv[2];
$path = '/apps/' . $settings['app'] . $argv[3];
$params = json_decode($argv[4], true);
$body = $argv[5];

/** Joins keys and values; arrays become one value with commas between. */
function array_implode(string $glue, string $separator, array $array): string
{
    $parts = [];
    foreach ($array as $key => $value) {
        if (is_array($value)) {
            $value = implode(',', $value);
        }
        $parts[] = $key . $glue . $value;
    }
    return implode($separator, $parts);
}

$params['auth_key'] = $settings['key'];
$params['auth_timestamp'] = time();
$params['auth_version'] = '1.0';
if ($body !== '') {
    $params['body_md5'] = md5($body);
}
ksort($params);
$toSign = "$method\n$path\n" . array_implode('=', '&', $params);
$params['auth_signature'] = hash_hmac('sha256', $toSign, $settings['secret'], false);

// The "path" option of the library is in front of the address and not signed.
$url = 'http://127.0.0.1:' . $settings['port'] . ($settings['prefix'] ?? '') . $path . '?' . http_build_query($params);
$context = stream_context_create(['http' => [
    'method' => $method,
    'header' => "Content-Type: application/json\r\nX-Pusher-Library: pusher-http-php 7.2.0\r\n",
    'content' => $body,
    'ignore_errors' => true,
]]);
$answer = file_get_contents($url, false, $context);
preg_match('/ (\d+)/', $http_response_header[0], $status);
$replayed = (bool) preg_grep('/^Idempotent-Replayed: true$/i', $http_response_header);
echo json_encode(['status' => (int) $status[1], 'body' => $answer, 'replayed' => $replayed]);
