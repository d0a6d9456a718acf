<?php

use Illuminate\Support\Facades\Broadcast;

Broadcast::channel('orders.{id}', fn ($user, $id) => $user->id === (int) $id);
Broadcast::channel('App.Models.User.{id}', fn ($user, $id) => $user->id === (int) $id);
Broadcast::channel('room.{id}', fn ($user, $id) => $user->id < 100 ? ['id' => $user->id, 'name' => 'Ann é ' . $user->id] : false);
