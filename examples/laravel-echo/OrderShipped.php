<?php
// app/Events/OrderShipped.php of a Laravel application. Its public properties are what pages get.

namespace App\Events;

use Illuminate\Broadcasting\Channel;
use Illuminate\Broadcasting\InteractsWithSockets;
use Illuminate\Contracts\Broadcasting\ShouldBroadcastNow;
use Illuminate\Foundation\Events\Dispatchable;

// With ShouldBroadcast instead a worker sends it: php artisan queue:work.
class OrderShipped implements ShouldBroadcastNow
{
    use Dispatchable;
    use InteractsWithSockets; // for toOthers

    public function __construct(public int $id)
    {
    }

    public function broadcastOn(): Channel
    {
        return new Channel('orders'); // or PrivateChannel, PresenceChannel, and several in an array
    }
}
