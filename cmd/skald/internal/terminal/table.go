package terminal

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Column is a column of a table.
type Column struct {
	Title string
	Right bool // numbers end below each other
	Least int  // how narrow it may become where the table is too wide; 0: it keeps its width
	Spare int  // from 1: it is left out where the table is still too wide then, the lowest number first; 0: never
}

// gap lies between two columns.
const gap = "  "

// Table prints rows below titles, indented. See Rows.
func (t *Terminal) Table(indent string, columns []Column, rows [][]string) {
	for _, line := range t.Rows(indent, columns, rows) {
		t.Line("%s", line)
	}
}

// Rows sets rows below titles, indented: one line for the titles, and one for each row. Cells may be painted. Columns that are empty in every row are left out, and what does not fit the
// terminal's width is cut, the widest column first.
func (t *Terminal) Rows(indent string, columns []Column, rows [][]string) []string {
	width := make([]int, len(columns))
	used := make([]bool, len(columns))
	for i, c := range columns {
		width[i] = len(c.Title)
		for _, row := range rows {
			width[i] = max(width[i], ansi.StringWidth(row[i]))
			used[i] = used[i] || row[i] != ""
		}
		if !used[i] {
			width[i] = 0
		}
	}
	t.narrow(columns, width, used, ansi.StringWidth(indent))
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = Faint.On(c.Title)
	}
	lines := []string{t.row(indent, columns, width, used, titles)}
	for _, row := range rows {
		lines = append(lines, t.row(indent, columns, width, used, row))
	}
	return lines
}

// narrow takes columns in, and leaves spare ones out, until the table fits.
func (t *Terminal) narrow(columns []Column, width []int, used []bool, indent int) {
	if t.Width == 0 {
		return
	}
	for spare := 0; ; spare++ {
		most := -1
		for i, c := range columns {
			if c.Spare > 0 && c.Spare == spare {
				used[i] = false
			}
			most = max(most, c.Spare)
		}
		if least(columns, width, used)+indent <= t.Width || spare >= most {
			break
		}
	}
	for total(width, used)+indent > t.Width {
		widest := -1
		for i, c := range columns {
			if used[i] && c.Least > 0 && width[i] > c.Least && (widest < 0 || width[i] > width[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		width[widest]--
	}
}

// total is how many columns of the terminal the table takes.
func total(width []int, used []bool) (sum int) {
	for i := range width {
		if used[i] {
			sum += width[i] + len(gap)
		}
	}
	return max(0, sum-len(gap))
}

// least is how many it takes when every column is as narrow as it may become.
func least(columns []Column, width []int, used []bool) int {
	narrow := make([]int, len(width))
	for i, c := range columns {
		narrow[i] = width[i]
		if c.Least > 0 {
			narrow[i] = min(width[i], c.Least)
		}
	}
	return total(narrow, used)
}

func (t *Terminal) row(indent string, columns []Column, width []int, used []bool, row []string) string {
	var b strings.Builder
	b.WriteString(indent)
	for i, cell := range row {
		if !used[i] {
			continue
		}
		cell = t.Fit(cell, width[i])
		pad := strings.Repeat(" ", width[i]-ansi.StringWidth(cell))
		if columns[i].Right {
			b.WriteString(pad + cell + gap)
		} else {
			b.WriteString(cell + pad + gap)
		}
	}
	return strings.TrimRight(b.String(), " ")
}
