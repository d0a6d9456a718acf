<?php
// Sends one event for each line of stdin, the way the README of the Node server
// showed it: the token is sha1 of the secret and json_encode of the payload, the
// body is json_encode of the whole. A line is JSON: {"room", "event", "php",
// "flags"}, where php is the payload as a PHP expression and flags is what
// json_encode is given besides. For each it prints JSON: the status and the text
// that was signed.
[, $url, $secret] = $argv;

while (($line = fgets(STDIN)) !== false) {
    $case = json_decode($line, true);
    $value = eval('return ' . $case['php'] . ';');
    $flags = $case['flags'];

    $payload = json_encode($value, $flags);
    $token = sha1($secret . $payload);
    $body = json_encode(['room' => $case['room'], 'event' => $case['event'], 'payload' => $value], $flags);

    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => "Content-Type: application/json\r\nAuthorization: $token\r\n",
        'content' => $body,
        'ignore_errors' => true,
        'timeout' => 30,
    ]]);
    $answer = file_get_contents($url, false, $context);
    preg_match('{^HTTP/\S+ (\d+)}', $http_response_header[0] ?? '', $m);
    echo json_encode(['status' => (int)($m[1] ?? 0), 'signed' => $payload, 'answer' => (string)$answer]), "\n";
}
