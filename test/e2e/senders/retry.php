<?php
// Sends the events 1 to N, each until it is answered, to a server behind something that
// cuts connections: to POST /send with the class of the example, or to the Pusher API.
// Prints how many connections each was handed to, or the answer of the API. With WANT_CURL
// in the environment it is an error that PHP has no curl, which the class does without.
//
//     php retry.php EXAMPLE poosh URL SECRET ROOM N
//     php retry.php EXAMPLE pusher URL SECRET CHANNEL N APP KEY
[, $example, $door, $url, $secret, $room, $n] = $argv;
if (getenv('WANT_CURL') && !function_exists('curl_init')) {
    fwrite(STDERR, "no curl in PHP: apt-get install php-curl\n");
    exit(1);
}
require $example;

// trigger posts a signed event with an idempotency key, until there is an answer.
function trigger(string $url, string $secret, string $app, string $key, string $channel, int $i): string
{
    $body = json_encode(['name' => 'e', 'channel' => $channel, 'data' => json_encode(['n' => $i]),
        'idempotency_key' => bin2hex(random_bytes(16))]);
    while (true) {
        $query = "auth_key=$key&auth_timestamp=" . time() . '&auth_version=1.0&body_md5=' . md5($body);
        $signed = hash_hmac('sha256', "POST\n/apps/$app/events\n$query", $secret);
        $answer = @file_get_contents("$url/apps/$app/events?$query&auth_signature=$signed", false, stream_context_create(['http' => [
            'method' => 'POST', 'header' => 'Content-Type: application/json', 'content' => $body, 'timeout' => 0.7, 'ignore_errors' => true,
        ]]));
        if ($answer === false || $answer === '') {
            continue;
        }
        $status = (int) explode(' ', $http_response_header[0])[1];
        if (!in_array($status, [502, 503, 504])) { // which are answered while the server is busy, or the event under way
            return $status === 200 ? $answer : "$status $answer";
        }
        usleep(100_000);
    }
}

$poosh = new Poosh($url, $secret, 0.7, 600, 0.1);
for ($i = 1; $i <= $n; $i++) {
    echo $door === 'pusher' ? trigger($url, $secret, $argv[7], $argv[8], $room, $i) : $poosh->send('e', ['n' => $i], $room), "\n";
}
