<?php
/**
 * Sends one event to Poosh. Needs no extension: it uses curl where PHP has it and
 * a stream otherwise.
 *
 *     php send.php [EVENT [PAYLOAD-AS-JSON [ROOM]]]
 *
 * Without ROOM the event goes to every connected client. The environment names
 * the server and the secret: POOSH_URL, POOSH_SECRET.
 */

declare(strict_types=1);

final class Poosh
{
    /**
     * @param string $url     where Poosh takes events, such as http://localhost:1337/send
     * @param string $secret  the SERVER_SECRET of that Poosh
     * @param float  $timeout seconds that a try to send may take
     * @param int    $retries how often a send is tried again that was not answered, or
     *                        that the server, or a proxy in front of it, had no time for
     * @param float  $pause   seconds before each of these, in which a server may start anew
     */
    public function __construct(
        private string $url,
        private string $secret,
        private float $timeout = 5.0,
        private int $retries = 2,
        private float $pause = 1.0,
    ) {
    }

    /** Answers after which a try may end well: Poosh's own 503, and what proxies say without it. */
    private const LATER = [502, 503, 504];

    /**
     * Sends $event with $payload, anything that json_encode takes, to the clients
     * in $room, or to all clients when $room is null.
     *
     * Nobody can tell whether a send that was not answered has arrived. It is tried again
     * with the same key, under which Poosh sends it once, however often it comes. $key is
     * for those who try again later by themselves, in a queue for example: the same one
     * for the same event.
     *
     * @return int how many connections it was handed to; -1 when the server does not say
     * @throws RuntimeException when the event was not taken
     */
    public function send(string $event, mixed $payload, ?string $room = null, ?string $key = null): int
    {
        $flags = JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_LINE_TERMINATORS;
        $json = json_encode($payload, $flags);
        $token = sha1($this->secret . $json);

        // The payload goes into the body as exactly the text that was signed. A key
        // "room" of null would be refused, so it is left out.
        $body = '{"event":' . json_encode($event, $flags)
            . ($room === null ? '' : ',"room":' . json_encode($room, $flags))
            . ',"payload":' . $json . '}';
        $headers = [
            'Content-Type: application/json',
            'Authorization: ' . $token,
            'Idempotency-Key: ' . ($key ?? bin2hex(random_bytes(16))),
        ];

        for ($try = 0;; $try++) {
            if ($try > 0) {
                usleep((int) ($this->pause * 1e6));
            }
            try {
                [$status, $answer, $reached] = function_exists('curl_init')
                    ? $this->postWithCurl($headers, $body)
                    : $this->postWithStream($headers, $body);
            } catch (RuntimeException $e) {
                if ($try >= $this->retries) {
                    throw $e;
                }
                continue;
            }
            if ($status === 200) {
                return $reached;
            }
            if (!in_array($status, self::LATER, true) || $try >= $this->retries) {
                throw new RuntimeException("Poosh answered $status: $answer");
            }
        }
    }

    /** @return array{int, string, int} status, body, connections */
    private function postWithCurl(array $headers, string $body): array
    {
        $reached = -1;
        $curl = curl_init($this->url);
        curl_setopt_array($curl, [
            CURLOPT_POSTFIELDS => $body,
            CURLOPT_HTTPHEADER => $headers,
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT_MS => (int) ($this->timeout * 1000),
            CURLOPT_HEADERFUNCTION => static function ($curl, string $line) use (&$reached): int {
                $reached = self::reached($line) ?? $reached;
                return strlen($line);
            },
        ]);
        $answer = curl_exec($curl);
        if ($answer === false) {
            throw new RuntimeException('Poosh did not answer: ' . curl_error($curl));
        }
        return [curl_getinfo($curl, CURLINFO_RESPONSE_CODE), $answer, $reached];
    }

    /** @return array{int, string, int} status, body, connections */
    private function postWithStream(array $headers, string $body): array
    {
        $context = stream_context_create(['http' => [
            'method' => 'POST',
            'header' => $headers,
            'content' => $body,
            'timeout' => $this->timeout,
            'ignore_errors' => true, // so that the body of a refusal can be read
        ]]);
        $answer = @file_get_contents($this->url, false, $context);
        if ($answer === false) {
            throw new RuntimeException('Poosh did not answer: ' . (error_get_last()['message'] ?? $this->url));
        }
        $reached = -1;
        foreach ($http_response_header as $line) {
            $reached = self::reached($line) ?? $reached;
        }
        return [(int) explode(' ', $http_response_header[0])[1], $answer, $reached];
    }

    /** The number in a header line X-Poosh-Delivered, or null for another line. */
    private static function reached(string $line): ?int
    {
        return preg_match('/^X-Poosh-Delivered:\s*(\d+)/i', $line, $m) ? (int) $m[1] : null;
    }
}

// What follows runs from the command line only, so that the class can be copied.
if (PHP_SAPI === 'cli' && realpath($argv[0]) === __FILE__) {
    $poosh = new Poosh(
        getenv('POOSH_URL') ?: 'http://localhost:1337/send',
        getenv('POOSH_SECRET') ?: 'thisisthesharedsecret',
    );
    try {
        $reached = $poosh->send(
            $argv[1] ?? 'event-name',
            json_decode($argv[2] ?? '{"text":"hello from PHP"}', flags: JSON_THROW_ON_ERROR),
            $argv[3] ?? null,
        );
        echo "sent to $reached connections\n";
    } catch (RuntimeException | JsonException $e) {
        fwrite(STDERR, $e->getMessage() . "\n");
        exit(1);
    }
}
