package skaldtest

import "testing"

// BenchmarkOneFault is a run of the exhaustive exploration: one saga, with a crash at each place in turn.
func BenchmarkOneFault(b *testing.B) {
	var x pool
	defer x.close()
	s := setup{plan: orderPlan(b), pool: &x, sagas: 1, ordered: true, script: faults{}}
	places := len(s.listed().sites)
	b.ReportAllocs()
	for k := 0; b.Loop(); k++ {
		s.script = faults{k % places: crash}
		explore(s)
	}
}

// BenchmarkSeed is a run of the random exploration: ten sagas of some definition with faults at random places.
func BenchmarkSeed(b *testing.B) {
	var x pool
	defer x.close()
	b.ReportAllocs()
	for k := 0; b.Loop(); k++ {
		s := someSetup(uint64(k%200 + 1))
		s.pool = &x
		explore(s)
	}
}
