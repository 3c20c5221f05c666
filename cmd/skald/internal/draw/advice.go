package draw

import (
	"slices"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/httpapi"
)

// Advice is what an incident means, and what may be done about it. docs/operations.md says the same at more length.
type Advice struct {
	Means string
	Try   []Try
}

// Try is one thing to do.
type Try struct {
	Command string // as it is typed, without the program's name
	When    string // when it is right
}

// AdviceOn says what to do about an incident of a saga: only what the engine takes. d may be nil.
func AdviceOn(s *httpapi.Saga, i *httpapi.Incident, d *httpapi.Definition) Advice {
	var step *httpapi.Step
	for n := range s.Steps {
		if s.Steps[n].Name == i.Step {
			step = &s.Steps[n]
		}
	}
	id := string(s.ID)
	retry := Try{"retry " + id + stepArgument(i.Step), "the cause is mended"}
	if i.Reason == skald.ReasonContradiction {
		return Advice{
			Means: "The participant answered twice, and the answers contradict each other: its data was lost or restored, it has no barrier, or two of them share its name. The saga goes by the first answer, and nothing changes that.",
			Try:   []Try{{"show " + id + " --history", "you have not seen both answers yet"}, {"resolve " + id + stepArgument(i.Step) + " --verb=seen --reason='…'", "you looked, and put right what was wrong"}},
		}
	}
	if step == nil {
		return Advice{Means: meaning(i.Reason, "The saga makes no progress."), Try: wholeSaga(s, i, retry)}
	}
	undoing := step.State == "undoing" || step.State == "undo_retrying" || s.State == skald.Compensating && step.State == "done"
	a := Advice{Means: meaning(i.Reason, refusal(step, undoing)), Try: []Try{retry}}
	resolve := "resolve " + id + " " + i.Step + " --verb="
	done := Try{resolve + "done --reason='…'", "you did it by hand"}
	if readBy(d, i.Step) {
		done.Command = resolve + `done --payload='{"…":"…"}' --reason='…'`
	}
	skip := Try{resolve + "skip --reason='…'", "the saga is complete without it"}
	switch {
	case undoing:
		a.Try = append(a.Try, Try{resolve + "done --reason='…'", "you undid it by hand"}, Try{skip.Command, "what exists of its effect may stay"})
	case step.Kind == "retriable":
		a.Try = append(a.Try, Try{resolve + `replace --payload='{"…":"…"}' --reason='…'`, "its input is wrong"}, done)
		if !readBy(d, i.Step) {
			a.Try = append(a.Try, skip)
		}
	case step.Kind == "pivot":
		a.Try = append(a.Try, done)
	case s.State == skald.Running && !passed(s):
		a.Try = append(a.Try, Try{"cancel " + id + " --reason='…'", "the whole saga should be undone"})
	}
	return a
}

// wholeSaga is what may be done when no step is to blame.
func wholeSaga(s *httpapi.Saga, i *httpapi.Incident, retry Try) []Try {
	try := []Try{retry}
	if i.Reason == "skald.definition_missing" {
		try = []Try{{"definitions list", "see which versions are registered"}}
	}
	if s.State == skald.Running && !passed(s) {
		try = append(try, Try{"cancel " + string(s.ID) + " --reason='…'", "the whole saga should be undone"})
	}
	return try
}

func stepArgument(step string) string {
	if step == "" {
		return ""
	}
	return " " + step
}

// passed says whether a saga has passed its point of no return, or may have.
func passed(s *httpapi.Saga) bool {
	return slices.ContainsFunc(s.Steps, func(x httpapi.Step) bool {
		return x.Kind == "pivot" && x.State != "waiting" && x.State != "skipped" || x.Kind == "retriable" && x.State != "waiting" && x.State != "skipped"
	})
}

// readBy says whether another step's input is made from a step's result.
func readBy(d *httpapi.Definition, step string) bool {
	return d != nil && slices.ContainsFunc(d.Steps, func(x httpapi.DefinitionStep) bool { return slices.Contains(x.Reads, step) })
}

// refusal says what a participant's own reason code means.
func refusal(s *httpapi.Step, undoing bool) string {
	participant, _, _ := strings.Cut(s.Action, ".")
	if participant == "" {
		participant = "The participant"
	}
	if undoing {
		return participant + " refuses to undo. The saga waits here until it does, or until you decide."
	}
	return participant + " refuses what has to succeed: the saga is past its point of no return and can only go forward."
}

// meaning says what Skald's own reason codes mean; otherwise is that of others.
func meaning(reason, otherwise string) string {
	switch reason {
	case "skald.no_progress":
		return "It has not succeeded for a while and is asked again and again. Look at the participant: when it is back, this closes by itself."
	case "skald.conflict":
		return "The call's key was used with another input: the code that makes the input changed without a new version, or is not pure. Register the old code again; before the pivot, cancelling is safe."
	case "skald.unknown_result":
		return "A participant without promise (L0) did not answer and must not be asked twice. Find out whether it took effect."
	case "skald.deadline":
		return "A deadline passed after the point of no return. Nothing is wrong yet: look why it takes long."
	case "skald.definition_missing":
		return "No running program has registered this version of the definition. Register it again, beside the newer one; the saga then goes on by itself."
	case "skald.forgotten":
		return "The participant does not know the action that it is to undo: its records were pruned too early, or restored from an older backup. Find out what exists, undo it by hand, then say done."
	case "skald.sealed":
		return "The participant cannot open what was sealed for it: a key is missing there, or it was changed on the way. Give it the key; it is asked again by itself."
	case "skald.mapping", "skald.malformed":
		return "Code and contract do not fit: the step's input could not be made, or its participant cannot read it. Mend the code, or replace the input."
	}
	return otherwise
}
