package packages_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var chart = filepath.Join(root, "packaging", "helm", "poosh")

// helm runs Helm's own code on a chart, see Chart.java.
func helm(args ...string) (out string, err error) {
	cmd := exec.Command("java", append([]string{"-cp", filepath.Join(cache, "helm", "*"), "Chart.java"}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s%s", err, raw, &stderr)
	}
	return string(raw), err
}

// template has Helm make manifests of each of some values, and returns them or, where it
// refuses, an error.
func template(t *testing.T, values ...string) (manifests []string, refused []error) {
	t.Helper()
	args := []string{"template", chart}
	for i, text := range values {
		file := filepath.Join(t.TempDir(), fmt.Sprint(i, ".yaml"))
		writeFile(t, file, text)
		args = append(args, file)
	}
	out, err := helm(args...)
	if err != nil {
		t.Fatal(err)
	}
	answers := strings.Split(out, "\x00\n")
	if len(answers) != len(values)+1 {
		t.Fatalf("%d answers for %d: %s", len(answers)-1, len(values), out)
	}
	for _, answer := range answers[:len(values)] {
		kind, text, _ := strings.Cut(answer, "\n")
		var err error
		if kind == "refused" {
			err = errors.New(text)
		}
		manifests, refused = append(manifests, text), append(refused, err)
	}
	return manifests, refused
}

// rendered are the manifests that the chart makes of values, by kind and name.
type rendered map[string]map[string]any

func render(t *testing.T, values string) (rendered, string) {
	t.Helper()
	texts, refused := template(t, values)
	if refused[0] != nil {
		t.Fatal(refused[0])
	}
	text := texts[0]
	var documents []map[string]any
	decode(t, text, &documents)
	r := make(rendered)
	for _, d := range documents {
		key := fmt.Sprint(d["kind"], "/", at(t, d, "metadata", "name"))
		if r[key] != nil {
			t.Errorf("%s is there twice", key)
		}
		r[key] = d
	}
	return r, text
}

// at walks into a value, by names and numbers of lists.
func at(t *testing.T, v any, steps ...any) any {
	t.Helper()
	for i, step := range steps {
		switch step := step.(type) {
		case string:
			object, _ := v.(map[string]any)
			if _, found := object[step]; !found {
				t.Fatalf("no %v in %v", steps[:i+1], v)
			}
			v = object[step]
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				t.Fatalf("no %v in %v", steps[:i+1], v)
			}
			v = list[step]
		}
	}
	return v
}

// conforms holds manifests against the schemas of versions of Kubernetes, where a field that
// there is not is a mistake. A kind that is none of Kubernetes' own is left out.
func conforms(t *testing.T, text string) {
	t.Helper()
	cmd := exec.Command(python("python"), "-c", `
import sys, yaml, kubernetes_validate
for document in yaml.safe_load_all(sys.stdin):
    if document and document["kind"] != "ServiceMonitor":
        for version in "1.30", "1.37":
            kubernetes_validate.validate(document, version, strict=True)
`)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

const secrets = "secret: {values: {SERVER_SECRET: thisisthesharedsecret, ADMIN_TOKEN: 0123456789abcdef}}\n"

// With the least of values there is one pod with its probes, and a service for each kind of
// who comes.
func TestChart(t *testing.T) {
	r, text := render(t, secrets)
	conforms(t, text)
	for _, want := range []string{"Deployment/push-poosh", "Service/push-poosh", "Service/push-poosh-senders", "Service/push-poosh-operators",
		"Secret/push-poosh", "ServiceAccount/push-poosh", "PodDisruptionBudget/push-poosh"} {
		if r[want] == nil {
			t.Errorf("there is no %s", want)
		}
	}
	if len(r) != 7 {
		t.Errorf("there are %d manifests:\n%s", len(r), text)
	}
	pod := at(t, r["Deployment/push-poosh"], "spec", "template", "spec")
	container := at(t, pod, "containers", 0)
	for steps, want := range map[string]any{
		"livenessProbe httpGet path": "/live", "livenessProbe httpGet port": "admin", "readinessProbe httpGet path": "/ready", "readinessProbe httpGet port": "admin",
		"startupProbe httpGet path": "/ready", "image": "poosh:0.1.0", "securityContext readOnlyRootFilesystem": true, "securityContext allowPrivilegeEscalation": false,
	} {
		if got := at(t, container, words(steps)...); got != want {
			t.Errorf("%s is %v, want %v", steps, got, want)
		}
	}
	for steps, want := range map[string]any{"securityContext runAsNonRoot": true, "securityContext runAsUser": 65534.0, "securityContext seccompProfile type": "RuntimeDefault",
		"automountServiceAccountToken": false, "terminationGracePeriodSeconds": 40.0} {
		if got := at(t, pod, words(steps)...); got != want {
			t.Errorf("%s is %v, want %v", steps, got, want)
		}
	}
	if drop := at(t, container, "securityContext", "capabilities", "drop", 0); drop != "ALL" {
		t.Errorf("it drops %v", drop)
	}
	env := environment(t, container)
	for name, want := range map[string]string{"CLIENT_PORT": "8000", "SERVER_PORT": "1337", "ADMIN_PORT": "9000", "ADMIN_HOST": "0.0.0.0", "SHUTDOWN_TIMEOUT": "30s", "DRAIN_DELAY": "5s"} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	if len(env) != 6 {
		t.Errorf("the environment is %v", env)
	}
	if strings.Count(text, "thisisthesharedsecret") != 1 {
		t.Error("the secret is somewhere else than in the Secret")
	}
	// The pod that services choose is the one that there is.
	labels := at(t, r["Deployment/push-poosh"], "spec", "template", "metadata", "labels").(map[string]any)
	for _, from := range []any{
		at(t, r["Service/push-poosh"], "spec", "selector"), at(t, r["Service/push-poosh-senders"], "spec", "selector"),
		at(t, r["Deployment/push-poosh"], "spec", "selector", "matchLabels"), at(t, r["PodDisruptionBudget/push-poosh"], "spec", "selector", "matchLabels"),
	} {
		for name, value := range from.(map[string]any) {
			if labels[name] != value {
				t.Errorf("a selector wants %s=%v, the pod has %v", name, value, labels[name])
			}
		}
	}
	startsWith(t, env, map[string]string{"SERVER_SECRET": "thisisthesharedsecret", "ADMIN_TOKEN": "0123456789abcdef"})
}

func words(text string) (list []any) {
	for word := range strings.FieldsSeq(text) {
		list = append(list, word)
	}
	return list
}

// environment is what the pod sets by name.
func environment(t *testing.T, container any) map[string]string {
	t.Helper()
	env := make(map[string]string)
	for _, entry := range at(t, container, "env").([]any) {
		name := at(t, entry, "name").(string)
		if _, twice := env[name]; twice {
			t.Errorf("%s is set twice", name)
		}
		env[name] = at(t, entry, "value").(string)
	}
	return env
}

// startsWith has the program itself look at an environment.
func startsWith(t *testing.T, env ...map[string]string) {
	t.Helper()
	cmd := exec.Command(poosh(t), "check", "--running")
	cmd.Dir = t.TempDir()
	for _, part := range env {
		for name, value := range part {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("poosh check: %v\n%s", err, out)
	}
}

// Everything that can be turned on, and nothing that cannot be put into a cluster.
func TestChartInFull(t *testing.T) {
	r, text := render(t, secrets+`
image: {repository: registry.example.com/push, tag: v1.2.3, pullPolicy: Always}
imagePullSecrets: [{name: registry}]
settings: {MAX_CONNECTIONS: 1000000, PUSHER_WATCHLIST: true, PUSHER_CLIENT_EVENTS: "off", TRUSTED_PROXIES: "10.0.0.0/8", LOG_FORMAT: json, PUSHER_APPS: /apps/apps.json}
ports: {pusher: 6001, socktopus: 8080, pushSocket: 3100}
service: {type: LoadBalancer, annotations: {example.com/a: b}}
shutdown: {timeout: 120, drainDelay: 10, drainTime: 60}
persistence: {enabled: true, storageClass: fast, size: 20Gi}
extraVolumes: [{name: apps, configMap: {name: apps}}]
extraVolumeMounts: [{name: apps, mountPath: /apps, readOnly: true}]
podDisruptionBudget: {maxUnavailable: 0}
serviceMonitor: {enabled: true, labels: {release: prometheus}}
serviceAccount: {name: push, annotations: {example.com/role: push}}
podAnnotations: {example.com/x: z}
nodeSelector: {disk: ssd}
tolerations: [{key: push, operator: Exists}]
priorityClassName: high
`)
	conforms(t, text)
	deployment := r["Deployment/push-poosh"]
	pod := at(t, deployment, "spec", "template", "spec")
	container := at(t, pod, "containers", 0)
	env := environment(t, container)
	for name, want := range map[string]string{"MAX_CONNECTIONS": "1000000", "PUSHER_WATCHLIST": "on", "PUSHER_CLIENT_EVENTS": "off", "PUSHER_PORT": "6001",
		"PUSH_SOCKET_PORT": "3100", "SHUTDOWN_TIMEOUT": "120s", "DRAIN_DELAY": "10s", "DRAIN_TIME": "60s"} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	for _, row := range []struct{ got, want any }{
		{at(t, deployment, "spec", "strategy", "type"), "Recreate"}, // one process at a time has the database
		{at(t, pod, "terminationGracePeriodSeconds"), 130.0},
		{at(t, pod, "serviceAccountName"), "push"},
		{at(t, container, "image"), "registry.example.com/push:v1.2.3"},
		{at(t, pod, "volumes", 0, "persistentVolumeClaim", "claimName"), "push-poosh"},
		{at(t, container, "volumeMounts", 0, "mountPath"), "/data"},
		{at(t, r["PersistentVolumeClaim/push-poosh"], "spec", "resources", "requests", "storage"), "20Gi"},
		{at(t, r["Service/push-poosh"], "spec", "type"), "LoadBalancer"},
		{at(t, r["Service/push-poosh-senders"], "spec", "type"), "ClusterIP"}, // who knows the secret comes from inside
		{at(t, r["Service/push-poosh-operators"], "spec", "type"), "ClusterIP"},
		{at(t, r["PodDisruptionBudget/push-poosh"], "spec", "maxUnavailable"), 0.0},
		{len(at(t, r["Service/push-poosh"], "spec", "ports").([]any)), 4},
	} {
		if row.got != row.want {
			t.Errorf("got %v, want %v", row.got, row.want)
		}
	}
	monitor := r["ServiceMonitor/push-poosh"]
	for name, value := range at(t, monitor, "spec", "selector", "matchLabels").(map[string]any) {
		if got := at(t, r["Service/push-poosh-operators"], "metadata", "labels", name); got != value {
			t.Errorf("the monitor looks for %s=%v, the service has %v", name, value, got)
		}
	}
	if at(t, monitor, "spec", "endpoints", 0, "port") != at(t, r["Service/push-poosh-operators"], "spec", "ports", 0, "name") || at(t, monitor, "spec", "endpoints", 0, "path") != "/metrics" ||
		at(t, monitor, "spec", "endpoints", 0, "authorization", "credentials", "key") != "ADMIN_TOKEN" || at(t, monitor, "metadata", "labels", "release") != "prometheus" {
		t.Errorf("the monitor is %v", monitor)
	}
	delete(env, "PUSHER_APPS") // a file of the pod
	startsWith(t, env, map[string]string{"SERVER_SECRET": "thisisthesharedsecret", "ADMIN_TOKEN": "0123456789abcdef"})
}

// A Secret that is there takes the place of one of the chart, and without the operators'
// port probes ask at that of clients.
func TestChartWithoutSecrets(t *testing.T) {
	r, text := render(t, "secret: {existingSecret: mine}\nports: {admin: 0}\nsettings: {TLS_CERT: /tls/a, TLS_KEY: /tls/b}\nfullnameOverride: sockets\n")
	conforms(t, text)
	container := at(t, r["Deployment/sockets"], "spec", "template", "spec", "containers", 0)
	if at(t, container, "envFrom", 0, "secretRef", "name") != "mine" || r["Secret/sockets"] != nil || r["Service/sockets-operators"] != nil {
		t.Errorf("the manifests are\n%s", text)
	}
	if at(t, container, "livenessProbe", "httpGet", "port") != "client" || at(t, container, "livenessProbe", "httpGet", "scheme") != "HTTPS" {
		t.Errorf("the probe is %v", at(t, container, "livenessProbe"))
	}
}

// What cannot be right is refused with a line that says what would be.
func TestChartRefuses(t *testing.T) {
	var all, want []string
	for values, says := range map[string]string{
		"": "want values with SERVER_SECRET",
		"secret: {values: {SERVER_SECRET: thisisthesharedsecret}}":             "want ADMIN_TOKEN of 16 characters",
		secrets + "settings: {MAX_CONNECTION: 1}":                              "MAX_CONNECTION",
		secrets + "settings: {SERVER_SECRET: thisisthesharedsecret}":           "SERVER_SECRET",
		secrets + "settings: {CLIENT_PORT: 80}":                                "CLIENT_PORT",
		secrets + "replicaCount: 2":                                            "replicaCount",
		secrets + "shutdown: {drainTime: 30}":                                  "want timeout to be drainDelay and four thirds of drainTime",
		secrets + "serviceMonitor: {enabled: true}\nports: {admin: 0}":         "want ports.admin, which has /metrics",
		secrets + "ports: {admin: 0, client: 0, pusher: 0}":                    "which have /live and /ready",
		secrets + "persistence: {enabled: true, accessModes: [ReadWriteMany]}": "accessModes",
		secrets + "unheardOf: 1":                                               "unheardOf",
	} {
		all, want = append(all, values), append(want, says)
	}
	made, refused := template(t, all...)
	for i, values := range all {
		if refused[i] == nil || !strings.Contains(refused[i].Error(), want[i]) {
			t.Errorf("%s\nis answered %v, want %q\n%.300s", values, refused[i], want[i], made[i])
		}
	}
}

// Helm finds nothing wrong with the chart, whatever of it is turned on.
func TestChartLint(t *testing.T) {
	var values, own map[string]any // linted are the values of the chart itself
	decode(t, readFile(t, "packaging", "helm", "poosh", "values.yaml"), &values)
	decode(t, secrets+"serviceMonitor: {enabled: true}\npersistence: {enabled: true}\n", &own)
	for name, value := range own {
		for key, v := range value.(map[string]any) {
			values[name].(map[string]any)[key] = v
		}
	}
	full, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(name, file, text string) string {
		t.Helper()
		dir := filepath.Join(t.TempDir(), name)
		if err := os.CopyFS(dir, os.DirFS(chart)); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, filepath.FromSlash(file)), text)
		return dir
	}
	out, err := helm("lint", chart, changed("poosh", "values.yaml", string(full)), changed("poosh", "templates/broken.yaml", "a: {{ .Values.nothing.there }}\n"))
	if err != nil {
		t.Fatal(err)
	}
	found := strings.Split(out, "\x00\n")
	if len(found) != 4 {
		t.Fatalf("%d answers: %s", len(found)-1, out)
	}
	for _, text := range found[:2] {
		if !strings.HasPrefix(text, "good\n") || strings.Contains(text, "[ERROR]") || strings.Contains(text, "[WARNING]") {
			t.Error(text)
		}
	}
	// And it would find something.
	if !strings.HasPrefix(found[2], "bad\n") || !strings.Contains(found[2], "[ERROR]") {
		t.Errorf("a broken template is nothing to lint:\n%s", found[2])
	}
}
