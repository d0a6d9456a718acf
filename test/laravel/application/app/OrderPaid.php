<?php

namespace App;

use Illuminate\Broadcasting\Channel;
use Illuminate\Broadcasting\InteractsWithSockets;
use Illuminate\Broadcasting\PrivateChannel;
use Illuminate\Contracts\Broadcasting\ShouldBroadcast;

class OrderPaid implements ShouldBroadcast
{
    use InteractsWithSockets;

    public function __construct(public array $order, private array $channels, private ?string $as = null)
    {
    }

    public function broadcastOn()
    {
        return array_map(
            fn ($name) => str_starts_with($name, 'private-') ? new PrivateChannel(substr($name, 8)) : new Channel($name),
            $this->channels
        );
    }

    public function broadcastAs()
    {
        return $this->as ?? static::class;
    }
}
