import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** Talks with the Go test: JSON lines {"saw", "text"} out, one command a line in. */
final class Test {
    private static final PrintStream OUT =
        new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
    private static final BufferedReader IN =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

    private Test() {}

    /** Prints one line. Clients call it from their own threads. */
    static synchronized void report(String saw, String text) {
        OUT.println("{\"saw\":" + quote(saw) + ",\"text\":" + quote(text) + "}");
    }

    /** Waits for the test to say something; null when it has gone. */
    static String command() throws IOException {
        return IN.readLine();
    }

    /**
     * Says that the client was told to disconnect, waits until the test has seen what came of
     * that, and ends the process with the threads that the client leaves behind.
     */
    static void done() throws IOException {
        report("closed", "");
        while (command() != null) {}
        System.exit(0);
    }

    private static String quote(String s) {
        StringBuilder b = new StringBuilder("\"");
        for (char c : s.toCharArray()) {
            if (c < ' ' || c > '~' || c == '"' || c == '\\') {
                b.append(String.format("\\u%04x", (int) c));
            } else {
                b.append(c);
            }
        }
        return b.append('"').toString();
    }
}
