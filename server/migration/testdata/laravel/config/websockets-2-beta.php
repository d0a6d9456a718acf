<?php

use BeyondCode\LaravelWebSockets\Dashboard\Http\Middleware\Authorize;

return [
    // The form of 2.0.0-beta.
    'dashboard' => [
        'port' => env('LARAVEL_WEBSOCKETS_PORT', 6010),
        'domain' => env('LARAVEL_WEBSOCKETS_DOMAIN'),
        'path' => env('LARAVEL_WEBSOCKETS_PATH', 'laravel-websockets'),
        'middleware' => ['web', Authorize::class],
    ],
    'managers' => ['app' => \BeyondCode\LaravelWebSockets\Apps\ConfigAppManager::class],
    'apps' => [
        [
            'id' => env('PUSHER_APP_ID'), 'name' => env('APP_NAME'), 'host' => env('PUSHER_APP_HOST'),
            'key' => env('PUSHER_APP_KEY'), 'secret' => env('PUSHER_APP_SECRET'), 'path' => env('PUSHER_APP_PATH'),
            'capacity' => null, 'enable_client_messages' => true, 'enable_statistics' => true,
            'allowed_origins' => [],
        ],
        ['id' => 5003, 'name' => 'Blog', 'key' => 'second-websockets-key', 'secret' => 'secret-of-the-second-websockets-app'],
    ],
    'replication' => [
        'mode' => env('WEBSOCKETS_REPLICATION_MODE', 'local'),
        'modes' => [
            'local' => [
                'channel_manager' => \BeyondCode\LaravelWebSockets\ChannelManagers\LocalChannelManager::class,
                'collector' => \BeyondCode\LaravelWebSockets\Statistics\Collectors\MemoryCollector::class,
            ],
        ],
    ],
    'statistics' => ['interval_in_seconds' => 60, 'delete_statistics_older_than_days' => 60],
    'max_request_size_in_kb' => 250,
    'ssl' => [
        'local_cert' => env('LARAVEL_WEBSOCKETS_SSL_LOCAL_CERT', null),
        'verify_peer' => env('APP_ENV') === 'production',
    ],
    'handlers' => [
        'websocket' => \BeyondCode\LaravelWebSockets\Server\WebSocketHandler::class,
        'health' => \BeyondCode\LaravelWebSockets\Server\HealthHandler::class,
    ],
    'promise_resolver' => \React\Promise\FulfilledPromise::class,
];
