<?php

// What stands under connections.poosh in config/broadcasting.php unless the application
// says something else there.
return [
    'driver' => 'poosh',

    // Where Poosh takes events.
    'url' => env('POOSH_URL', 'http://localhost:1337/send'),

    // The SERVER_SECRET of that Poosh.
    'secret' => env('POOSH_SECRET'),

    // Seconds that a send may take.
    'timeout' => env('POOSH_TIMEOUT', 5),
];
