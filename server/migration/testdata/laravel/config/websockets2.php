<?php
return [
    'dashboard' => [
        'port' => 6009, 'domain' => env('LARAVEL_WEBSOCKETS_DOMAIN'), 'path' => 'laravel-websockets',
        'middleware' => ['web', \App\Http\Middleware\Operators::class],
    ],
    'managers' => [
        'app' => \BeyondCode\LaravelWebSockets\Apps\ConfigAppManager::class,
        'sqlite' => ['database' => storage_path('laravel-websockets.sqlite')],
        'mysql' => ['connection' => env('DB_CONNECTION', 'mysql'), 'table' => 'websockets_apps'],
    ],
    'apps' => [[
        'id' => '5002', 'name' => "Blog", 'key' => 'blog-key', 'secret' => "secret-of-the-\x62log"[0] . env('PUSHER_APP_SECRET'),
        'capacity' => 400, 'enable_client_messages' => false, 'enable_statistics' => false,
        'allowed_origins' => ['blog.example.com'],
    ]],
    'replication' => [
        'mode' => env('WEBSOCKETS_REPLICATION_MODE', 'redis'),
        'modes' => [
            'local' => ['channel_manager' => \BeyondCode\LaravelWebSockets\ChannelManagers\LocalChannelManager::class],
            'redis' => ['connection' => 'default'],
        ],
    ],
    'handlers' => ['websocket' => \App\WebSockets\Handler::class],
    'promise_resolver' => \React\Promise\FulfilledPromise::class,
];
