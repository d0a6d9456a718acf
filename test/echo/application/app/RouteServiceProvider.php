<?php

namespace App;

use Illuminate\Foundation\Support\Providers\RouteServiceProvider as Base;
use Illuminate\Support\Facades\Auth;
use Illuminate\Support\Facades\Broadcast;
use Illuminate\Support\Facades\Route;

class RouteServiceProvider extends Base
{
    public function boot(): void
    {
        // Whose token is a number is that user.
        Auth::viaRequest('named', fn ($request) => (int) $request->bearerToken() > 0 ? new User(['id' => (int) $request->bearerToken()]) : null);
        Broadcast::routes(['middleware' => []]);
        require base_path('routes/channels.php');
        $this->routes(function () {
            Route::post('/ship', function () {
                $event = broadcast(new OrderShipped(request('order')));
                if (request('others')) {
                    $event->toOthers();
                }
                unset($event); // it is sent as this goes
                return ['broadcast' => true];
            });
            Route::post('/example', function () {
                Events\OrderShipped::dispatch(7);
                return ['broadcast' => true];
            });
            Route::post('/notify', function () {
                (new User(['id' => 7]))->notify(new Hi());
                return ['notified' => true];
            });
        });
    }
}
