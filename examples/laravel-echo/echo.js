// resources/js/echo.js of a Laravel application: npm install laravel-echo socket.io-client.
// An older client does as well; docs/laravel-echo.md has which goes with which Echo.
import Echo from 'laravel-echo';
import io from 'socket.io-client';

window.Echo = new Echo({
  broadcaster: 'socket.io',
  client: io,
  host: import.meta.env.VITE_ECHO_HOST,
});
