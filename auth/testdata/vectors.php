<?php
// Writes php.json beside itself: requests as PHP senders of the Node server Poosh
// made them, the token over the secret and json_encode of the payload, the payload
// encoded once more inside the body:
//
//   php auth/testdata/vectors.php
//
// Made with php-cli 8.2.36 (serialize_precision = -1).

$secret = 'thisisthesharedsecret';
$payloads = [
    'as in the README' => ['key1' => 'value1', 'key2' => 'value2'],
    'null' => null,
    'true' => true,
    'string' => 'x',
    'empty array' => [],
    'empty object' => new stdClass,
    'slashes' => ['url' => 'http://example.com/a/b?c=d&e=<f>'],
    'accents' => ['name' => "Zo\u{e9} \u{65e5}\u{672c} \u{1f600} \u{2028}", "\u{e9}" => 1],
    'quotes and control characters' => "\"'\\\x08\x0a\x1f\x7f\x00",
    'floats' => [1.0, 1.5, 0.1, -0.0, 1e-7, 1e25, 1e20, 0.00001, 0.000001, 1e300, 4.35, 1/3],
    'big integers' => [PHP_INT_MAX, PHP_INT_MIN, 9007199254740993],
    'index keys' => ['name' => 1, 5 => 2, 1 => 3],
    'list' => [3, 2, 1],
    'nested' => ['a' => ['b' => [], 'c' => new stdClass, 'd' => [[[]]]], 'e' => [['f' => null]]],
];
$flags = [
    'default' => 0,
    'JSON_UNESCAPED_SLASHES' => JSON_UNESCAPED_SLASHES,
    'JSON_UNESCAPED_UNICODE' => JSON_UNESCAPED_UNICODE,
    'JSON_UNESCAPED_UNICODE|JSON_UNESCAPED_LINE_TERMINATORS' => JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_LINE_TERMINATORS,
    'JSON_PRESERVE_ZERO_FRACTION' => JSON_PRESERVE_ZERO_FRACTION,
    'JSON_NUMERIC_CHECK' => JSON_NUMERIC_CHECK,
    'JSON_HEX_TAG|JSON_HEX_AMP|JSON_HEX_APOS|JSON_HEX_QUOT' => JSON_HEX_TAG | JSON_HEX_AMP | JSON_HEX_APOS | JSON_HEX_QUOT,
];

$rows = [];
foreach ($flags as $flagName => $flag) {
    foreach ($payloads as $name => $payload) {
        $rows[] = [
            'name' => "$name, $flagName",
            'secret' => $secret,
            'body' => json_encode(['event' => 'e', 'payload' => $payload], $flag),
            'token' => sha1($secret . json_encode($payload, $flag)),
        ];
    }
}
// JSON_PRETTY_PRINT indents the payload inside a body more than the payload alone, so
// its tokens are over neither text: senders hash the compact form.
$rows[] = [
    'name' => 'pretty body, compact token',
    'secret' => $secret,
    'body' => json_encode(['event' => 'e', 'payload' => ['a/b' => [1.0, 2]]], JSON_PRETTY_PRINT),
    'token' => sha1($secret . json_encode(['a/b' => [1.0, 2]])),
];
$lines = array_map(fn ($row) => '  ' . json_encode($row, JSON_UNESCAPED_SLASHES), $rows);
file_put_contents(__DIR__ . '/php.json', "[\n" . implode(",\n", $lines) . "\n]\n");
