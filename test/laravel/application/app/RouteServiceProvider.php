<?php

namespace App;

use Illuminate\Auth\GenericUser;
use Illuminate\Foundation\Support\Providers\RouteServiceProvider as Base;
use Illuminate\Support\Facades\Auth;
use Illuminate\Support\Facades\Broadcast;
use Illuminate\Support\Facades\Route;

class RouteServiceProvider extends Base
{
    public function boot(): void
    {
        // Whoever has a name is that user.
        Auth::viaRequest('named', fn ($request) => $request->header('X-User') ? new GenericUser(['id' => (int) $request->header('X-User')]) : null);
        Broadcast::routes(['middleware' => []]);
        require base_path('routes/channels.php');
        $this->routes(function () {
            Route::post('/paid', function () {
                $event = broadcast(new OrderPaid(request('order'), request('channels'), request('as')));
                if (request('others')) {
                    $event->toOthers();
                }
                unset($event); // it is sent as this goes
                return ['broadcast' => true];
            });
        });
    }
}
