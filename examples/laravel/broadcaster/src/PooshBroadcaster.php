<?php

namespace Poosh\Broadcasting;

use Illuminate\Broadcasting\BroadcastException;
use Illuminate\Broadcasting\Broadcasters\Broadcaster;
use Illuminate\Broadcasting\Broadcasters\UsePusherChannelConventions;
use Illuminate\Http\Client\ConnectionException;
use Illuminate\Http\Client\Factory as Http;
use JsonException;
use Symfony\Component\HttpKernel\Exception\AccessDeniedHttpException;

/**
 * Sends what a Laravel application broadcasts to the socket.io clients of Poosh. A channel
 * is a room: a public one the room of its name.
 *
 * Poosh lets everybody into a room who knows its name. So the room of a private or
 * presence channel has a name that only the application can make: the channel's and, behind
 * a colon, what its secret signs it with. Laravel's /broadcasting/auth gives it to who may
 * know it, by routes/channels.php. It stays the same until the secret changes, so who has
 * had it once can come back.
 */
final class PooshBroadcaster extends Broadcaster
{
    use UsePusherChannelConventions;

    /**
     * @param string $url where Poosh takes events, such as http://localhost:1337/send
     * @param string $secret its SERVER_SECRET
     * @param float $timeout seconds that a send may take
     */
    public function __construct(private Http $http, private string $url, private string $secret, private float $timeout)
    {
    }

    /**
     * Sends an event to each channel. It has been sent to those before when one is refused.
     *
     * @throws BroadcastException when Poosh does not answer or refuses it
     */
    public function broadcast(array $channels, $event, array $payload = []): void
    {
        $except = $payload['socket'] ?? null; // of toOthers()
        unset($payload['socket']);
        $flags = JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_LINE_TERMINATORS;
        try {
            $json = json_encode((object) $payload, $flags);
            foreach ($this->formatChannels($channels) as $channel) {
                // The payload goes into the body as exactly the text that is signed.
                $this->post($channel, $json, '{"room":' . json_encode($this->room($channel), $flags)
                    . ($except === null ? '' : ',"except":' . json_encode((string) $except, $flags))
                    . ',"event":' . json_encode((string) $event, $flags) . ',"payload":' . $json . '}');
            }
        } catch (JsonException $e) {
            throw new BroadcastException("Poosh: the event $event is no JSON: {$e->getMessage()}", 0, $e);
        }
    }

    private function post(string $channel, string $json, string $body): void
    {
        try {
            $answer = $this->http->timeout((int) ceil($this->timeout))
                ->withHeaders(['Authorization' => sha1($this->secret . $json)])
                ->withBody($body, 'application/json')
                ->post($this->url);
        } catch (ConnectionException $e) {
            throw new BroadcastException("Poosh does not answer, channel $channel: {$e->getMessage()}", 0, $e);
        }
        if ($answer->status() !== 200) {
            $why = $answer->json('error') ?? ($answer->status() === 401 ? 'is POOSH_SECRET its SERVER_SECRET?' : 'no reason given');
            throw new BroadcastException("Poosh answers {$answer->status()}, channel $channel: $why");
        }
    }

    /**
     * Answers /broadcasting/auth: the room of a channel, to who may be in it.
     *
     * @throws AccessDeniedHttpException
     */
    public function auth($request)
    {
        $channel = (string) $request->channel_name;
        $name = $this->normalizeChannelName($channel);
        if ($channel === '' || ($this->isGuardedChannel($channel) && !$this->retrieveUser($request, $name))) {
            throw new AccessDeniedHttpException;
        }
        return parent::verifyUserCanAccessChannel($request, $name);
    }

    /** What a client is told that may be in the channel; $result is what routes/channels.php says of it. */
    public function validAuthenticationResponse($request, $result)
    {
        return ['room' => $this->room((string) $request->channel_name)];
    }

    /** The room of a channel. */
    public function room(string $channel): string
    {
        if (str_starts_with($channel, 'private-encrypted-')) {
            throw new BroadcastException("Poosh: nothing is encrypted on the way to socket.io clients, channel $channel");
        }
        return $this->isGuardedChannel($channel) ? $channel . ':' . hash_hmac('sha256', "room:$channel", $this->secret) : $channel;
    }
}
