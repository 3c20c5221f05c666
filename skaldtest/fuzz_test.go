package skaldtest

import "testing"

// FuzzReplay reads texts of all sorts as runs: what is taken is the same run when it is printed.
func FuzzReplay(f *testing.F) {
	f.Add("seed=7 sagas=2 ordered refusing=pay faults=3:crash,12:lose-answer")
	f.Add("seed=18446744073709551615 sagas=-1 faults=,,4:pause")
	f.Fuzz(func(t *testing.T, text string) {
		var s setup
		if s.parse(text) != nil {
			return
		}
		var again setup
		if err := again.parse(s.String()); err != nil || again.String() != s.String() {
			t.Errorf("%q is printed as %q, and that is read as %q (%v)", text, s.String(), again.String(), err)
		}
	})
}
