<?php

// Lives in config/poosh.php of a Laravel application.
return [
    // Where Poosh takes events.
    'url' => env('POOSH_URL', 'http://localhost:1337/send'),

    // The SERVER_SECRET of that Poosh.
    'secret' => env('POOSH_SECRET'),

    // Seconds that a send may take.
    'timeout' => env('POOSH_TIMEOUT', 5),
];
