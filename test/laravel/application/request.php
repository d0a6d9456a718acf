<?php
// Has the application answer one request, and prints the status and the answer, each on a
// line: php request.php METHOD PATH JSON [HEADER VALUE]...

set_include_path('/usr/share/php');
error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED); // of a framework that is older than this PHP
require 'Illuminate/autoload.php';
require 'GuzzleHttp/autoload.php';
require __DIR__ . '/vendor/autoload.php';
spl_autoload_register(function ($class) {
    if (str_starts_with($class, 'App\\')) {
        require __DIR__ . '/app/' . substr($class, 4) . '.php';
    }
});

$app = new Illuminate\Foundation\Application(__DIR__);
$app->singleton(Illuminate\Contracts\Http\Kernel::class, Illuminate\Foundation\Http\Kernel::class);
$app->singleton(Illuminate\Contracts\Debug\ExceptionHandler::class, Illuminate\Foundation\Exceptions\Handler::class);

[, $method, $path, $json] = $argv;
$request = Illuminate\Http\Request::create($path, $method, [], [], [], ['CONTENT_TYPE' => 'application/json', 'HTTP_ACCEPT' => 'application/json'], $json);
for ($i = 4; $i + 1 < $argc; $i += 2) {
    $request->headers->set($argv[$i], $argv[$i + 1]);
}
$response = $app->make(Illuminate\Contracts\Http\Kernel::class)->handle($request);
echo $response->getStatusCode(), "\n", $response->getContent(), "\n";
