<?php

namespace App\Services;

use Illuminate\Http\Client\Factory as Http;

/**
 * Sends events to Poosh. Lives in app/Services/Poosh.php; its settings are in
 * config/poosh.php.
 *
 *     app(\App\Services\Poosh::class)->send('order.paid', ['id' => 42], 'user-7');
 */
final class Poosh
{
    public function __construct(private Http $http)
    {
    }

    /**
     * Sends $event with $payload, anything that json_encode takes, to the clients
     * in $room, or to all clients when $room is null.
     *
     * @return int how many connections it was handed to
     * @throws \Illuminate\Http\Client\ConnectionException when Poosh does not answer
     * @throws \Illuminate\Http\Client\RequestException when Poosh refuses the event
     */
    public function send(string $event, mixed $payload, ?string $room = null): int
    {
        $flags = JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_LINE_TERMINATORS;
        $json = json_encode($payload, $flags);

        // The payload goes into the body as exactly the text that was signed. A key
        // "room" of null would be refused, so it is left out.
        $body = '{"event":' . json_encode($event, $flags)
            . ($room === null ? '' : ',"room":' . json_encode($room, $flags))
            . ',"payload":' . $json . '}';

        $answer = $this->http
            ->timeout((int) config('poosh.timeout'))
            ->withHeaders(['Authorization' => sha1(config('poosh.secret') . $json)])
            ->withBody($body, 'application/json')
            ->post(config('poosh.url'))
            ->throw();

        return (int) $answer->header('X-Poosh-Delivered');
    }
}
