<?php

namespace App;

use Illuminate\Broadcasting\Channel;
use Illuminate\Broadcasting\InteractsWithSockets;
use Illuminate\Broadcasting\PresenceChannel;
use Illuminate\Broadcasting\PrivateChannel;
use Illuminate\Contracts\Broadcasting\ShouldBroadcast;

class OrderShipped implements ShouldBroadcast
{
    use InteractsWithSockets;

    public function __construct(public array $order)
    {
    }

    public function broadcastOn()
    {
        return [new Channel('orders'), new PrivateChannel('orders.7'), new PresenceChannel('room.7')];
    }
}
