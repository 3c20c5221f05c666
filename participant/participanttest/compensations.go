package participanttest

import (
	"errors"
	"testing"

	"github.com/skaldhq/skald/participant"
)

func compensations() []test {
	return []test{
		{"a compensation undoes its action", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.wantDone(s.ask(action()), result)
			s.wantDone(s.ask(compensation()), "null")
			s.wantEffects(action(), "released reserved")
			if s.sawInput != input || s.sawResult != result {
				t.Errorf("the compensation got %s and %s, want %s and %s", s.sawInput, s.sawResult, input, result)
			}
		}},
		{"a compensation gets what was stored when its caller knows nothing", func(t *testing.T, open Open) {
			for _, nothing := range []string{"", "null"} {
				s := serve(t, open)
				s.wantDone(s.ask(action()), result)
				c := compensation()
				c.Input, c.Result = []byte(nothing), []byte(nothing)
				s.wantDone(s.ask(c), "null")
				if s.sawInput != input || s.sawResult != result {
					t.Errorf("the compensation got %s and %s, want %s and %s", s.sawInput, s.sawResult, input, result)
				}
			}
		}},
		{"a compensation gets an operator's replacement of the input, and the stored result", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.wantDone(s.ask(action()), result)
			c := compensation()
			c.Input, c.Result = []byte(`{"account":"new"}`), []byte(`{"reservation":8}`)
			s.wantDone(s.ask(c), "null")
			if s.sawInput != `{"account":"new"}` || s.sawResult != result {
				t.Errorf("the compensation got %s and %s, want the replacement and %s", s.sawInput, s.sawResult, result)
			}
		}},
		{"F02 a compensation arrives twice, also concurrently", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.wantDone(s.ask(action()), result)
			var copies []<-chan participant.Answer
			for range 8 {
				copies = append(copies, s.asking(compensation()))
			}
			for _, c := range copies {
				s.wantDone(await(t, "an answer", c), "null")
			}
			s.wantDone(s.ask(compensation()), "null")
			if n := s.undone.Load(); n != 1 {
				t.Errorf("the compensation's handler ran %d times, want once", n)
			}
			s.wantEffects(action(), "released reserved")
		}},
	}
}

func compensationsThatUndoNothing() []test {
	return []test{
		{"a refused action needs no undoing", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.fail = short()
			s.wantRefused(s.ask(action()), "OutOfStock")
			s.wantDone(s.ask(compensation()), "null")
			s.wantEffects(action(), "")
			s.wantRefused(s.ask(action()), "OutOfStock") // what it was stays what it was
			if n := s.undone.Load(); n != 0 {
				t.Errorf("the compensation's handler ran %d times, want never", n)
			}
		}},
		{"F11 a compensation that is refused changes nothing and can be asked again", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.wantDone(s.ask(action()), result)
			s.failUndo = &participant.Refusal{Reason: "AccountClosed", Detail: "nowhere to pay back"}
			s.wantRefused(s.ask(compensation()), "AccountClosed")
			s.wantRefused(s.ask(compensation()), "AccountClosed")
			s.wantEffects(action(), "reserved")
			s.set(func() { s.failUndo = nil })
			s.wantDone(s.ask(compensation()), "null")
			s.wantEffects(action(), "released reserved")
		}},
		{"a compensation that fails is unknown and can be asked again", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.wantDone(s.ask(action()), result)
			s.failUndo = errors.New("the shelf is locked")
			s.wantUnknown(s.ask(compensation()), "the shelf is locked")
			s.wantEffects(action(), "reserved")
			s.set(func() { s.failUndo = nil })
			s.wantDone(s.ask(compensation()), "null")
			s.wantEffects(action(), "released reserved")
		}},
		{"a compensation whose caller knows more than the participant is not taken for done", func(t *testing.T, open Open) {
			s := serve(t, open)
			c := compensation()
			c.Result = []byte(result)
			s.wantRefused(s.ask(c), participant.ReasonForgotten)
			s.wantEffects(c, "")
			s.wantDone(s.ask(action()), result) // no tombstone was left
		}},
	}
}

func overtakings() []test {
	return []test{
		{"F04 compensation arrives, action never did", func(t *testing.T, open Open) {
			s := serve(t, open)
			for range 3 {
				s.wantDone(s.ask(compensation()), "null")
			}
			if n := s.undone.Load(); n != 0 {
				t.Errorf("the compensation's handler ran %d times, want never", n)
			}
			s.wantEffects(action(), "")
		}},
		{"F05 action arrives after its compensation", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.wantDone(s.ask(compensation()), "null")
			for range 2 {
				s.wantRefused(s.ask(action()), participant.ReasonCompensated)
			}
			s.wantDone(s.ask(compensation()), "null")
			s.wantHandled(0)
			s.wantEffects(action(), "")
		}},
		{"F05 a copy of an action arrives after it was undone", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.wantDone(s.ask(action()), result)
			s.wantDone(s.ask(compensation()), "null")
			s.wantRefused(s.ask(action()), participant.ReasonCompensated)
			s.wantHandled(1)
			s.wantEffects(action(), "released reserved")
		}},
		{"F06 compensation while the action is still running", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.gate = make(chan struct{})
			act := s.asking(action())
			await(t, "the handler", s.entered)
			undo := s.asking(compensation())
			stillWaiting(t, undo)
			close(s.gate)
			s.wantDone(await(t, "the action", act), result)
			s.wantDone(await(t, "the compensation", undo), "null")
			s.wantEffects(action(), "released reserved")
			if s.sawResult != result {
				t.Errorf("the compensation got the result %s, want %s", s.sawResult, result)
			}
		}},
		{"F06 compensation while the action is being refused", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.gate, s.fail = make(chan struct{}), short()
			act := s.asking(action())
			await(t, "the handler", s.entered)
			undo := s.asking(compensation())
			stillWaiting(t, undo)
			close(s.gate)
			s.wantRefused(await(t, "the action", act), "OutOfStock")
			s.wantDone(await(t, "the compensation", undo), "null")
			s.wantEffects(action(), "")
		}},
		{"F06 compensation while the action is failing", func(t *testing.T, open Open) {
			s := serve(t, open)
			s.gate, s.fail = make(chan struct{}), errors.New("the shelf broke")
			act := s.asking(action())
			await(t, "the handler", s.entered)
			undo := s.asking(compensation())
			stillWaiting(t, undo)
			close(s.gate)
			s.wantUnknown(await(t, "the action", act), "the shelf broke")
			s.wantDone(await(t, "the compensation", undo), "null")
			s.set(func() { s.fail = nil })
			s.wantRefused(s.ask(action()), participant.ReasonCompensated)
			s.wantEffects(action(), "")
		}},
	}
}
