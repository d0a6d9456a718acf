<?php

declare(strict_types=1);

return [
    'default' => env('REVERB_SERVER', 'reverb'),

    'servers' => [
        'reverb' => [
            'host' => env('REVERB_SERVER_HOST', '0.0.0.0'),
            'port' => env('REVERB_SERVER_PORT', 8080),
            'path' => env('REVERB_SERVER_PATH', ''),
            'hostname' => env('REVERB_HOST'),
            'options' => ['tls' => []],
            'max_request_size' => env('REVERB_MAX_REQUEST_SIZE', 10_000),
            'scaling' => [
                'enabled' => env('REVERB_SCALING_ENABLED', false),
                'server' => ['url' => env('REDIS_URL'), 'port' => env('REDIS_PORT', '6379')],
            ],
            'pulse_ingest_interval' => env('REVERB_PULSE_INGEST_INTERVAL', 15),
        ],
    ],

    'apps' => [
        'provider' => 'config',
        'apps' => [
            [
                'key' => env('REVERB_APP_KEY'),
                'secret' => env('REVERB_APP_SECRET'),
                'app_id' => env('REVERB_APP_ID'),
                'options' => [
                    'host' => env('REVERB_HOST'),
                    'useTLS' => env('REVERB_SCHEME', 'https') === 'https',
                ],
                'allowed_origins' => explode(',', env('REVERB_ALLOWED_ORIGINS', 'shop.example.com,*.example.org')),
                'ping_interval' => 60,
                'activity_timeout' => env('REVERB_APP_ACTIVITY_TIMEOUT', 45),
                'max_message_size' => 1024 * 128,
                'accept_client_events_from' => 'all',
            ],
            [ // a second one, whose secret is elsewhere
                'key' => 'second-key',
                'secret' => 'secret-of-the-second-reverb-app',
                'app_id' => 4002,
                'allowed_origins' => ['*'],
                'ping_interval' => 60,
                'max_message_size' => 10_000,
                'accept_client_events_from' => 'none',
            ],
        ],
    ],
];
