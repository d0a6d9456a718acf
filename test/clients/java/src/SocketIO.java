import io.socket.client.IO;
import io.socket.client.Socket;
import java.util.Arrays;
import org.json.JSONArray;
import org.json.JSONObject;

/** Drives socket.io-client of io.socket; 1.0.0 and 2.1.1 have the same calls. */
public final class SocketIO {
    private SocketIO() {}

    public static void main(String[] args) throws Exception {
        JSONObject task = new JSONObject(args[0]);
        JSONArray rooms = task.getJSONArray("rooms");
        IO.Options options = new IO.Options();
        switch (task.getString("way")) {
            case "polling":
                options.transports = new String[] {"polling"};
                break;
            case "websocket":
                options.transports = new String[] {"websocket"};
                break;
            default: // polling, then the change to WebSocket
                break;
        }
        Socket socket = IO.socket(task.getString("url"), options);
        socket.on(Socket.EVENT_CONNECT, none -> {
            for (int i = 0; i < rooms.length(); i++) {
                socket.emit("room", rooms.opt(i));
            }
            Test.report("connect", "");
        });
        socket.on(Socket.EVENT_DISCONNECT, why -> Test.report("disconnect", Arrays.toString(why)));
        socket.on(Socket.EVENT_CONNECT_ERROR, why -> Test.report("connect_error", Arrays.toString(why)));
        socket.on("news", payload -> Test.report("event", json(payload[0])));
        socket.connect();
        Test.command();
        socket.disconnect();
        Test.done();
    }

    private static String json(Object payload) {
        return payload instanceof String ? JSONObject.quote((String) payload) : String.valueOf(payload);
    }
}
