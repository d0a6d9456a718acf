// Emits one event with the official library: npm install @socket.io/redis-emitter redis.
//
//   node send.js [EVENT [PAYLOAD-AS-JSON [ROOM]]]
//
// Without ROOM the event goes to every connected client. The environment names the Redis:
// REDIS_HOST, REDIS_PORT, REDIS_PASSWORD.
const { Emitter } = require('@socket.io/redis-emitter');
const { createClient } = require('redis');

async function main() {
  const [event = 'event-name', payload = '{"text":"hello from Node"}', room] = process.argv.slice(2);
  const redis = createClient({
    socket: {
      host: process.env.REDIS_HOST || '127.0.0.1',
      port: Number(process.env.REDIS_PORT || 6379),
      reconnectStrategy: false,
    },
    password: process.env.REDIS_PASSWORD,
  });
  redis.on('error', () => {}); // connect says it
  await redis.connect();
  const io = new Emitter(redis);
  (room ? io.to(room) : io).emit(event, JSON.parse(payload));
  await redis.quit();
  console.log('sent');
}

main().catch((err) => {
  console.error('not sent:', err.message);
  process.exit(1);
});
