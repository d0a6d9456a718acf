<?php

// As Laravel has it since version 11. The connection itself is the package's.
return [
    'default' => env('BROADCAST_CONNECTION', 'null'),
    'connections' => [],
];
