import com.marcnuri.helm.Helm;
import java.nio.file.Path;

/**
 * Helm for the Go tests: "lint CHART...", which prints for each a line "good" or "bad", what
 * it finds and a line with a NUL, and "template CHART VALUES...", which prints for each file of values, as JSON is too much of a
 * library, a line "manifests" or "refused", the manifests of a release named push in the
 * namespace web or why there are none, and a line with a NUL.
 */
class Chart {
    public static void main(String[] args) {
        Helm helm = new Helm(Path.of(args[1]));
        if (args[0].equals("lint")) {
            for (int i = 1; i < args.length; i++) {
                var result = new Helm(Path.of(args[i])).lint().strict().call();
                System.out.println((result.isFailed() ? "bad\n" : "good\n") + String.join("\n", result.getMessages()) + "\n\0");
            }
            return;
        }
        for (int i = 2; i < args.length; i++) {
            try {
                System.out.println("manifests\n" + helm.template().withName("push").withNamespace("web").withValuesFile(Path.of(args[i])).call());
            } catch (IllegalStateException e) {
                System.out.println("refused\n" + e.getMessage());
            }
            System.out.println("\0");
        }
    }
}
