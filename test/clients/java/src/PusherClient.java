import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.pusher.client.AuthorizationFailureException;
import com.pusher.client.Pusher;
import com.pusher.client.PusherOptions;
import com.pusher.client.channel.PresenceChannelEventListener;
import com.pusher.client.channel.PusherEvent;
import com.pusher.client.channel.User;
import com.pusher.client.connection.ConnectionEventListener;
import com.pusher.client.connection.ConnectionState;
import com.pusher.client.connection.ConnectionStateChange;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.util.Set;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Drives pusher-java-client on a public, a private and a presence channel. */
public final class PusherClient implements ConnectionEventListener, PresenceChannelEventListener {
    private static final String MEMBER = "{\"user_id\":\"8\",\"user_info\":{\"name\":\"é\"}}";

    private PusherClient() {}

    public static void main(String[] args) throws Exception {
        JsonObject task = JsonParser.parseString(args[0]).getAsJsonObject();
        String key = task.get("key").getAsString();
        String secret = task.get("secret").getAsString();
        PusherOptions options = new PusherOptions()
            .setHost(task.get("host").getAsString())
            .setWsPort(task.get("port").getAsInt())
            .setUseTLS(false)
            .setChannelAuthorizer((channel, socket) -> authorize(key, secret, channel, socket));
        Pusher pusher = new Pusher(key, options);
        PusherClient listener = new PusherClient();
        JsonArray rooms = task.getAsJsonArray("rooms");
        String hidden = null;
        for (JsonElement room : rooms) {
            String name = room.getAsString();
            if (name.startsWith("presence-")) {
                pusher.subscribePresence(name, listener, "news", "client-hello");
            } else if (name.startsWith("private-")) {
                hidden = name;
                pusher.subscribePrivate(name, listener, "news", "client-hello");
            } else {
                pusher.subscribe(name, listener, "news");
            }
        }
        pusher.connect(listener, ConnectionState.ALL);
        while ("hello".equals(Test.command())) {
            pusher.getPrivateChannel(hidden).trigger("client-hello", "{\"from\":\"Java é\"}");
        }
        pusher.disconnect();
        Test.done();
    }

    /** Signs as the site of an app would. */
    private static String authorize(String key, String secret, String channel, String socket) {
        boolean presence = channel.startsWith("presence-");
        String text = socket + ":" + channel + (presence ? ":" + MEMBER : "");
        JsonObject answer = new JsonObject();
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(secret.getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
            StringBuilder hex = new StringBuilder();
            for (byte b : mac.doFinal(text.getBytes(StandardCharsets.UTF_8))) {
                hex.append(String.format("%02x", b));
            }
            answer.addProperty("auth", key + ":" + hex);
        } catch (GeneralSecurityException e) {
            throw new AuthorizationFailureException(e);
        }
        if (presence) {
            answer.addProperty("channel_data", MEMBER);
        }
        return answer.toString();
    }

    @Override
    public void onConnectionStateChange(ConnectionStateChange change) {
        switch (change.getCurrentState()) {
            case CONNECTED:
                Test.report("connect", "");
                break;
            case DISCONNECTED:
                Test.report("disconnect", "");
                break;
            default:
                break;
        }
    }

    @Override
    public void onError(String message, String code, Exception e) {
        Test.report("error", message + " " + code + " " + e);
    }

    @Override
    public void onSubscriptionSucceeded(String channel) {
        Test.report("subscribed", channel);
    }

    @Override
    public void onEvent(PusherEvent event) {
        Test.report("news".equals(event.getEventName()) ? "event" : "hello", event.getData());
    }

    @Override
    public void onAuthenticationFailure(String message, Exception e) {
        Test.report("error", message + " " + e);
    }

    @Override
    public void onUsersInformationReceived(String channel, Set<User> users) {
        Test.report("members", String.valueOf(users.size()));
    }

    @Override
    public void userSubscribed(String channel, User user) {
        Test.report("member_added", user.getId() + " " + user.getInfo());
    }

    @Override
    public void userUnsubscribed(String channel, User user) {
        Test.report("member_removed", user.getId());
    }
}
