<?php

namespace App;

use Illuminate\Auth\GenericUser;
use Illuminate\Notifications\RoutesNotifications;

class User extends GenericUser
{
    use RoutesNotifications;

    public function receivesBroadcastNotificationsOn()
    {
        return 'App.Models.User.' . $this->id;
    }
}
