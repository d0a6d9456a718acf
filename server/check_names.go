package server

import (
	"fmt"
	"slices"
	"strings"

	"poosh/server/setting"
)

// notices are what is likely to be a slip in the file of settings at path and in the
// names of the environment: what is read as nothing, or otherwise than it looks.
func notices(path string, environ []string) []string {
	lines := fileNotices(path)
	known := make([]string, 0, 128)
	for _, s := range Settings() {
		known = append(known, s.Name)
	}
	suffixes := suffixes(newConfig().groups)
	inFile := Names(path, nil)
	all := append(Names("", environ), inFile...)
	slices.Sort(all)
	for _, name := range slices.Compact(all) {
		if slices.Contains(known, name) {
			continue
		}
		if meant := meant(name, known, suffixes, slices.Contains(inFile, name)); meant != "" {
			lines = append(lines, fmt.Sprintf("%s is no setting and is not looked at: %s is one; was that meant?", name, meant))
		}
	}
	return lines
}

// suffixes are what names of settings end with that are patterns, NAME and an ending.
func suffixes(groups []*setting.Group) (list []string) {
	for _, g := range groups {
		for _, s := range g.Settings {
			if s.Value == nil {
				list = append(list, strings.TrimPrefix(s.Name, "NAME"))
			}
		}
	}
	return list
}

// meant is the setting that a name is one slip away from; empty for none. In the
// environment, which is everybody's, names of one word are not ours.
func meant(name string, known, suffixes []string, inFile bool) string {
	ends := func(name string) bool {
		return slices.ContainsFunc(suffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) && len(name) > len(suffix) })
	}
	if ends(name) {
		return ""
	}
	for _, k := range known {
		if ends(k) || !inFile && !strings.Contains(k, "_") {
			continue
		}
		if oneSlip(strings.ToUpper(name), k) {
			return k
		}
	}
	for _, suffix := range suffixes {
		for n := len(suffix) - 1; n <= len(suffix)+1; n++ {
			if at := len(name) - n; at > 0 && oneSlip(strings.ToUpper(name[at:]), suffix) {
				return strings.TrimSuffix(name[:at], "_") + suffix
			}
		}
	}
	return ""
}

// oneSlip reports whether two words are the same but for one letter that is wrong, missing
// or too much, or two neighbours that have changed places (Damerau and Levenshtein).
func oneSlip(a, b string) bool {
	return len(a)-len(b) <= 1 && len(b)-len(a) <= 1 && setting.Distance(a, b) <= 1
}

// fileNotices are about the lines of the file of settings.
func fileNotices(path string) (lines []string) {
	text, err := readDotEnv(path)
	if err != nil {
		return nil // who reads the settings says so
	}
	at := make(map[string]int)
	var set []string
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		bare := strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if bare == "" || strings.HasPrefix(bare, "#") {
			continue
		}
		key, value, ok := splitDotEnvLine(line)
		if !ok {
			lines = append(lines, fmt.Sprintf("%s: line %d is no setting and is skipped: want NAME=value, without export and with nothing else before the =", path, number))
			continue
		}
		if before := at[key]; before > 0 {
			lines = append(lines, fmt.Sprintf("%s: %s stands in line %d and in line %d: the last one counts, remove the other", path, key, before, number))
		}
		at[key] = number
		if strings.Contains(value, " #") {
			lines = append(lines, fmt.Sprintf("%s: line %d: what stands behind the # is part of %s: comments need a line of their own", path, number, key))
		}
		if value != "" {
			set = append(set, key)
		}
	}
	if isReadByAll(path) && holdSecrets(set) {
		lines = append(lines, fmt.Sprintf("%s holds secrets, and everybody on this machine may read it: want chmod 600 %s", path, path))
	}
	return lines
}

// holdSecrets reports whether what one of the names is set to is shown nowhere.
func holdSecrets(names []string) bool {
	secret := make(map[string]bool)
	var endings []string // of secrets' names that are patterns
	for _, g := range newConfig().groups {
		for _, s := range g.Settings {
			switch {
			case s.Secret && s.Value != nil:
				secret[s.Name] = true
			case s.Secret:
				endings = append(endings, strings.TrimPrefix(s.Name, "NAME"))
			}
		}
	}
	return slices.ContainsFunc(names, func(name string) bool {
		return secret[name] || slices.ContainsFunc(endings, func(ending string) bool { return strings.HasSuffix(strings.ToUpper(name), ending) })
	})
}
