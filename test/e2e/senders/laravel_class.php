<?php
// Sends one event through the class of examples/laravel: php laravel_class.php
// FOLDER URL SECRET EVENT PAYLOAD ROOM. What the class needs of Laravel stands
// here: config, env, and the few calls of its HTTP client, over a stream.

namespace Illuminate\Http\Client {
    class Factory
    {
        private array $headers = [];
        private string $body = '';
        private int $timeout = 0;

        public function timeout(int $seconds) { $this->timeout = $seconds; return $this; }
        public function withHeaders(array $headers) { $this->headers += $headers; return $this; }
        public function withBody(string $body, string $type) { $this->body = $body; $this->headers['Content-Type'] = $type; return $this; }

        public function post(string $url): Response
        {
            $lines = array_map(fn ($name, $value) => "$name: $value", array_keys($this->headers), $this->headers);
            $context = stream_context_create(['http' => ['method' => 'POST', 'header' => $lines,
                'content' => $this->body, 'ignore_errors' => true, 'timeout' => $this->timeout]]);
            file_get_contents($url, false, $context);
            return new Response($http_response_header ?? []);
        }
    }

    class Response
    {
        public function __construct(private array $lines) {}

        public function throw(): self
        {
            if (!str_contains($this->lines[0] ?? '', ' 200 ')) throw new \RuntimeException($this->lines[0] ?? 'no answer');
            return $this;
        }

        public function header(string $name): string
        {
            foreach ($this->lines as $line) {
                if (stripos($line, "$name:") === 0) return trim(substr($line, strlen($name) + 1));
            }
            return '';
        }
    }
}

namespace {
    [, $folder, $url, $secret, $event, $payload, $room] = $argv;
    $environment = ['POOSH_URL' => $url, 'POOSH_SECRET' => $secret];
    function env(string $name, mixed $default = null): mixed { return $GLOBALS['environment'][$name] ?? $default; }
    $settings = require "$folder/config.php";
    function config(string $name): mixed { return $GLOBALS['settings'][substr($name, strlen('poosh.'))]; }

    require "$folder/Poosh.php";
    $poosh = new App\Services\Poosh(new Illuminate\Http\Client\Factory);
    echo $poosh->send($event, json_decode($payload), $room === '' ? null : $room), "\n";
}
