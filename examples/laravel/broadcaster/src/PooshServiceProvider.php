<?php

namespace Poosh\Broadcasting;

use Illuminate\Contracts\Broadcasting\Factory as Broadcasting;
use Illuminate\Http\Client\Factory as Http;
use Illuminate\Support\ServiceProvider;
use InvalidArgumentException;

/**
 * Makes "poosh" a driver of Laravel's broadcasting. Laravel finds it by composer.json.
 */
final class PooshServiceProvider extends ServiceProvider
{
    public function register(): void
    {
        // The connection is there without a word in config/broadcasting.php; what stands
        // there wins.
        $config = $this->app['config'];
        $config->set('broadcasting.connections.poosh', array_merge(
            require __DIR__ . '/../config/poosh.php',
            $config->get('broadcasting.connections.poosh', [])
        ));
    }

    public function boot(): void
    {
        $this->callAfterResolving(Broadcasting::class, function ($manager) {
            $manager->extend('poosh', function ($app, array $config) {
                foreach (['url', 'secret'] as $key) {
                    if (!is_string($config[$key] ?? null) || $config[$key] === '') {
                        throw new InvalidArgumentException("broadcasting.connections.poosh: $key is not set");
                    }
                }
                return new PooshBroadcaster($app->make(Http::class), $config['url'], $config['secret'], (float) ($config['timeout'] ?? 5));
            });
        });
    }
}
