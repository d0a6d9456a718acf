import com.marcnuri.helm.Helm;
import java.nio.file.Path;

/**
 * Helm for the Go tests: "lint CHART", which prints what it finds and exits with 1 for errors,
 * and "template CHART VALUES...", which prints for each file of values, as JSON is too much of a
 * library, a line "manifests" or "refused", the manifests of a release named push in the
 * namespace web or why there are none, and a line with a NUL.
 */
class Chart {
    public static void main(String[] args) {
        Helm helm = new Helm(Path.of(args[1]));
        if (args[0].equals("lint")) {
            var result = helm.lint().strict().call();
            result.getMessages().forEach(System.out::println);
            System.exit(result.isFailed() ? 1 : 0);
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
