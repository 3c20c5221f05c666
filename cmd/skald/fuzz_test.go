package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzTimes reads texts as lengths of time and as times, as they are typed: a length is none that is negative, so many days ago are so many, and what is refused is said with how it is written.
func FuzzTimes(f *testing.F) {
	for _, seed := range []string{"90s", "-1s", "3d", "-3d", "106751d", "106752d", "768614336404564651d", "2026-01-31T12:00:00Z", "0001-01-01T00:00:00+23:59", "1h2d", "d", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var l length
		if err := l.UnmarshalText([]byte(text)); err != nil && !strings.Contains(err.Error(), "write it as") || l < 0 {
			t.Errorf("%q is the length %s (%v)", text, time.Duration(l), err)
		}
		var m moment
		before := time.Now()
		err := m.UnmarshalText([]byte(text))
		if err != nil {
			if !strings.Contains(err.Error(), "say how long ago") {
				t.Errorf("%q is refused with %v", text, err)
			}
			return
		}
		if days, found := strings.CutSuffix(text, "d"); found {
			n, err := strconv.ParseFloat(days, 64)
			if ago := before.Sub(time.Time(m)).Hours() / 24; err != nil || ago > n || ago < n-1 {
				t.Errorf("%q is %f days ago (%v)", text, ago, err)
			}
		}
	})
}

// FuzzPayload reads texts as payloads: what is taken is sent as it is, and what is refused is no JSON at the place that is said, counted as an editor counts.
func FuzzPayload(f *testing.F) {
	for _, seed := range []string{`{"n":1}`, " null\n", "{\n \"é\": x}", "{\"a\":1}\n}", `"é`, `"毯`, "[1,\n2,", "\xff", "\ufeff{}", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		document, err := readJSON(data, "it")
		if (err == nil) != json.Valid(data) {
			t.Fatalf("%q is read as %q (%v)", data, document, err)
		}
		if err == nil {
			if !bytes.Equal(document, bytes.Trim(data, " \t\r\n")) {
				t.Errorf("%q is read as %q", data, document)
			}
			return
		}
		var line, column int
		if _, scan := fmt.Sscanf(err.Error(), "it is not JSON: line %d, column %d:", &line, &column); scan != nil {
			t.Fatalf("%q is refused with %v", data, err)
		}
		lines := bytes.Split(data, []byte("\n"))
		if line < 1 || line > len(lines) || column < 1 || column > 1+utf8.RuneCount(lines[line-1]) {
			t.Fatalf("%q is refused with %v", data, err)
		}
		rest := lines[line-1]
		for range column - 1 {
			_, size := utf8.DecodeRune(rest)
			rest = rest[size:]
		}
		before := data[:len(data)-len(rest)-len(bytes.Join(lines[line-1:], []byte("\n")))+len(lines[line-1])]
		// Of a word or number that is cut, the decoder says that a space does not fit.
		if _, why := readJSON(before, "it"); why != nil && !strings.Contains(why.Error(), "unexpected end") && !strings.Contains(why.Error(), "invalid character ' '") {
			t.Errorf("%q is refused with %v, and already %q is no beginning of JSON (%v)", data, err, before, why)
		}
	})
}
