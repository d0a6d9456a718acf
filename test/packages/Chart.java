import com.marcnuri.helm.Helm;
import java.nio.file.Path;

/**
 * Helm for the Go tests: "lint CHART", which prints what it finds, and "template CHART VALUES",
 * which prints the manifests of a release named push in the namespace web. What Helm refuses is
 * on standard error, with exit code 1.
 */
class Chart {
    public static void main(String[] args) {
        Helm helm = new Helm(Path.of(args[1]));
        try {
            if (args[0].equals("lint")) {
                var result = helm.lint().strict().call();
                result.getMessages().forEach(System.out::println);
                System.exit(result.isFailed() ? 1 : 0);
            }
            System.out.print(helm.template().withName("push").withNamespace("web").withValuesFile(Path.of(args[2])).call());
        } catch (IllegalStateException e) {
            System.err.println(e.getMessage());
            System.exit(1);
        }
    }
}
