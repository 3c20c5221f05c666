package deliver

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDefinitionBuilds(t *testing.T) {
	s, err := Definition(0)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := Definition(time.Minute); err != nil || other.Version() == s.Version() {
		t.Errorf("another deadline is the same version: %v", err)
	}
	t.Logf("%s\n%s", s.Canonical(), s.Flow())
}

// A reason code that a step declares and the registry does not know would leave a delivery without a word for people.
func TestEveryReasonCodeIsInTheRegistry(t *testing.T) {
	s, err := Definition(0)
	if err != nil {
		t.Fatal(err)
	}
	registry := string(s.Canonical())
	registry = registry[strings.Index(registry, `"remedies"`):]
	for _, step := range s.Steps() {
		for _, code := range step.Reasons {
			if !strings.Contains(registry, `"`+code+`"`) {
				t.Errorf("%s may end with %s, which has no remedy", step.Name, code)
			}
		}
	}
	first := []string{}
	for _, step := range s.Steps() {
		first = append(first, step.Name)
	}
	if !slices.Contains(first[:2], "package.upsert") || !slices.Contains(first[:2], "drone.assign") {
		t.Errorf("the two legs do not begin at once: %v", first)
	}
}
