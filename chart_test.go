package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"poosh/server"
)

// ofTheChart are settings that the chart has values of its own for.
var ofTheChart = []string{"SHUTDOWN_TIMEOUT", "DRAIN_DELAY", "DRAIN_TIME", "PORT"}

// The schema of the chart's values has the names of all settings, so that a name that is
// none is a mistake before anything runs: secrets apart, and without those that have a
// value of their own.
func TestChartSettings(t *testing.T) {
	const path = "packaging/helm/poosh/values.schema.json"
	text := readFile(t, path)
	var schema map[string]any
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		t.Fatal(err)
	}
	var plain, all []string
	for _, s := range server.Settings() {
		switch {
		case slices.Contains(ofTheChart, s.Name), strings.HasSuffix(s.Name, "_PORT") && s.Name != "ACME_HTTP_PORT", s.Name == "NAME_SOCKTOPUS_SECRET":
			continue
		case !s.Secret:
			plain = append(plain, s.Name)
		}
		all = append(all, s.Name)
	}
	if len(plain) < 50 || len(all) <= len(plain) {
		t.Fatalf("%d settings, of them %d no secrets", len(all), len(plain))
	}
	at := func(steps ...string) map[string]any {
		t.Helper()
		here := schema
		for _, step := range steps {
			next, found := here[step].(map[string]any)
			if !found {
				t.Fatalf("%s has no %v", path, steps)
			}
			here = next
		}
		return here
	}
	at("properties", "settings", "propertyNames")["enum"] = plain
	choices, found := at("properties", "secret", "properties", "values", "propertyNames")["anyOf"].([]any)
	if !found || len(choices) != 2 {
		t.Fatal("the names of secrets are not one of two")
	}
	choices[0] = map[string]any{"enum": all}
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(schema); err != nil {
		t.Fatal(err)
	}
	sameFile(t, path, text, want.String())
}
