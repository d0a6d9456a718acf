<?php
// Answers requests: php -S ADDRESS index.php

set_include_path('/usr/share/php');
error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED); // of a framework that is older than this PHP
require_once 'Illuminate/autoload.php';
require_once 'Ramsey/Uuid/autoload.php';
spl_autoload_register(function ($class) {
    if (str_starts_with($class, 'App\\')) {
        require __DIR__ . '/app/' . str_replace('\\', '/', substr($class, 4)) . '.php';
    }
});

$app = new Illuminate\Foundation\Application(__DIR__);
$app->singleton(Illuminate\Contracts\Http\Kernel::class, Illuminate\Foundation\Http\Kernel::class);
$app->singleton(Illuminate\Contracts\Debug\ExceptionHandler::class, Illuminate\Foundation\Exceptions\Handler::class);
$app->make(Illuminate\Contracts\Http\Kernel::class)->handle(Illuminate\Http\Request::capture())->send();
