//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// results are all observations of a run.
type results struct {
	options options
	setting setting
	list    []observation
}

// An observation is what one entrant gave at one work, once.
type observation struct {
	Work     string
	Server   string
	Protocol string
	Values   metrics
}

func (r *results) add(work string, e entrant, values metrics) {
	r.list = append(r.list, observation{work, e.server, e.protocol.String(), values})
}

// median returns the median of a metric over the rounds; ok is false if there
// are no observations of it.
func (r *results) median(work string, e entrant, metric string) (m float64, ok bool) {
	var all []float64
	for _, o := range r.list {
		if v, has := o.Values[metric]; has && o.Work == work && o.Server == e.server && o.Protocol == e.protocol.String() {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	mid := len(all) / 2
	if len(all)%2 == 1 {
		return all[mid], true
	}
	return (all[mid-1] + all[mid]) / 2, true
}

// write writes all observations to a file, and what they hold for.
func (r *results) write(file string) error {
	text, err := json.MarshalIndent(struct {
		Setting      setting
		Observations []observation
	}{r.setting, r.list}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o666)
}

// print prints a table for each work, and how poosh stands to the targets.
func (r *results) print(w io.Writer, all []work) {
	fmt.Fprintln(w, r.setting)
	for _, work := range all {
		r.printWork(w, work)
	}
	r.printTargets(w)
}

func (r *results) printWork(w io.Writer, work work) {
	var rows [][]string
	for _, e := range work.entrants {
		row := []string{titles[e.server], e.protocol.String()}
		for _, column := range work.columns {
			if v, ok := r.median(work.name, e, column); ok {
				row = append(row, number(v))
			} else {
				row = append(row, "")
			}
		}
		if slices.ContainsFunc(row[2:], func(s string) bool { return s != "" }) {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n### %s: %s\n\n", work.name, work.title)
	head := append([]string{"server", "clients"}, work.columns...)
	if work.upright {
		head, rows = turned(head, rows)
	}
	printTable(w, head, rows)
}

// turned exchanges rows and columns, for tables with more columns than a page has.
func turned(head []string, rows [][]string) ([]string, [][]string) {
	all := append([][]string{head}, rows...)
	columns := make([][]string, len(head))
	for i := range head {
		for _, row := range all {
			columns[i] = append(columns[i], row[i])
		}
	}
	return columns[0], columns[1:]
}

// printTable prints a Markdown table whose source is aligned.
func printTable(w io.Writer, head []string, rows [][]string) {
	width := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	line := func(row []string, pad string) {
		for i, cell := range row {
			fmt.Fprintf(w, "|%s%s%s%s", pad, cell, strings.Repeat(pad, width[i]-len([]rune(cell))), pad)
		}
		fmt.Fprintln(w, "|")
	}
	line(head, " ")
	line(make([]string, len(head)), "-")
	for _, row := range rows {
		line(row, " ")
	}
}

// number prints three digits that count.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v == 0:
		return "0"
	case v < 0.1 && v > 0:
		return fmt.Sprintf("%.4f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
