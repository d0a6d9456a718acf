package migration

import "poosh/server"

// original reads the .env of the Node server named Poosh as that read it, which is how
// this one reads its own. Facts: joearcher/poosh, commit 6ab2d6de, poosh.js and .env.
func original() *source {
	keys := map[string]bool{"CLIENT_PORT": true, "SERVER_PORT": true, "SERVER_SECRET": true}
	return &source{
		name: "poosh", product: "the Node server Poosh", version: "1.0.0",
		formats: []format{formatEnv},
		rules: []rule{
			{keys: "CLIENT_PORT", take: toSetting("CLIENT_PORT", count(1, 65535))},
			{keys: "SERVER_PORT", take: toSetting("SERVER_PORT", count(1, 65535))},
			{keys: "SERVER_SECRET", take: toSecret("SERVER_SECRET", needed)},
		},
		ours: func(name string) bool { return keys[name] },
		read: readOriginal,
		finish: func(d *draft) {
			d.note("docs/poosh.md lists what this server does in another way.")
		},
	}
}

// readOriginal reads a file as [server.WithDotEnv] does, without an environment.
func readOriginal(text string) (map[string]string, error) {
	return server.ParseDotEnv(text, func(string) (string, bool) { return "", false })
}
