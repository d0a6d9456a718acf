<?php

// As composer create-project has them, as the next one.
return [
    'default' => env('BROADCAST_CONNECTION', 'null'),
    'connections' => ['redis' => ['driver' => 'redis', 'connection' => 'default'], 'null' => ['driver' => 'null']],
];
