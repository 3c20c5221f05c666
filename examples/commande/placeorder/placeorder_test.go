package placeorder

import "testing"

func TestDefinitionBuilds(t *testing.T) {
	s, err := Definition()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s\n%s\n%s", s.Canonical(), s.Flow(), s.Sequence())
}
