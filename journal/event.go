package journal

import "time"

// SagaID names one saga. The caller chooses it, which makes starting idempotent, or Skald generates one (a UUID, version 7).
// Letters, digits and "._:-" are allowed, 1 to 128 of them; see CheckID.
type SagaID string

// Kind says what an event means. Its number is durable: kinds are added, never renumbered.
type Kind uint8

// The kinds of events. Both modes write the same kinds.
const (
	// SagaStarted is the first event of every journal. It carries the definition, its version, the mode, the input, the business key and, if there is
	// one, the saga's deadline (At).
	SagaStarted Kind = 1
	// SagaRecovered says that another coordinator, or the same one after a restart, goes on from here: what its
	// predecessor did but could not record is unknown.
	SagaRecovered Kind = 2
	// CancelRequested records that somebody (By) asked for the saga to be cancelled, with a Reason.
	CancelRequested Kind = 3
	// DeadlineExpired says that the deadline of a step passed, or of the whole saga when Step is empty.
	DeadlineExpired Kind = 4
	// SagaCompensating is the decision to turn back. Nothing forward happens after it. Step and Reason name the cause.
	SagaCompensating Kind = 5
	// SagaCompleted is an outcome: every step took effect.
	SagaCompleted Kind = 6
	// SagaCompensated is an outcome: nothing of it is left, except what an operator left as it was (CompensationDone with VerbSkip).
	SagaCompensated Kind = 7

	// StepAsked is the intent to call a step's action for the first time.
	StepAsked Kind = 16
	// StepRetrying says that an attempt had an unknown result; the next one is made at At.
	StepRetrying Kind = 17
	// StepDone carries the result (Payload).
	StepDone Kind = 18
	// StepRefused is a business refusal: no effect, never asked again.
	StepRefused Kind = 19
	// StepFailed ends the asking with the effect unknown: the step is compensated like one that took effect.
	StepFailed Kind = 20
	// StepSkipped says that the step is not asked (any more). Without a Verb it never ran and never will. With VerbSkip an operator (By) gave
	// it up, Detail says why, and what it may have done stays.
	StepSkipped Kind = 21
	// StepAnsweredLate keeps an answer that came after the step was decided, as evidence: with a Reason a refusal, without one that it is done. It changes nothing.
	// One that contradicts the decision is followed by the IncidentOpened that says so (ReasonContradiction).
	StepAnsweredLate Kind = 22

	// CompensationAsked is the first call of a step's compensation.
	CompensationAsked Kind = 32
	// CompensationRetrying says that an attempt to compensate had an unknown result; the next one is made at At.
	CompensationRetrying Kind = 33
	// CompensationDone says that the compensation is not asked any more. Without a Verb, and with VerbDone (undone by hand), nothing of the step's effect
	// is left. With VerbSkip an operator (By) gave it up, Detail says why, and what exists of the effect stays.
	CompensationDone Kind = 34

	// IncidentOpened says that the saga, or one Step, makes no progress without help, or, with ReasonContradiction, that a step's participant contradicted itself. A step has at most one incident of either sort.
	IncidentOpened Kind = 48
	// IncidentResolved is an operator's act: Verb and By say what and who, Detail says why in the operator's words; Payload is a replaced input. With VerbSeen it closes
	// the step's contradiction, with any other verb what keeps it from making progress.
	IncidentResolved Kind = 49
	// IncidentClosed says that the incident's cause went away by itself. A contradiction never does.
	IncidentClosed Kind = 50
)

// ReasonContradiction is the reason code of an incident that is about what is decided already: a step's participant answered it one way, and later another way. Nothing waits for
// it, and it may open after the saga's outcome; a person looks at it and says so (VerbSeen).
const ReasonContradiction = "skald.contradiction"

// Verb is what an operator does to an incident.
type Verb string

// The verbs of operators.
const (
	// VerbRetry asks again at once.
	VerbRetry Verb = "retry"
	// VerbReplace asks again at once with another input.
	VerbReplace Verb = "replace"
	// VerbSkip gives a step or a compensation up: nothing more is asked, what exists stays.
	VerbSkip Verb = "skip"
	// VerbDone states that the work was done by hand.
	VerbDone Verb = "done"
	// VerbSeen states that somebody looked at a contradiction, and put right what was wrong. Nothing is asked, and the saga stays as it is.
	VerbSeen Verb = "seen"
)

// Mode says who drives a saga.
type Mode string

// The two modes.
const (
	Orchestrated  Mode = "orchestrated"
	Choreographed Mode = "choreographed"
)

// Event is one entry of a journal. Which fields are set depends on its Kind; the zero value of a field means "not
// said" and is not stored.
type Event struct {
	Seq     uint64    // position in the saga's journal, from 1
	Time    time.Time // when it was recorded: UTC, microseconds
	Kind    Kind
	Step    string // the step's name, for events of a step
	Attempt uint32 // the number of the attempt it speaks of, from 1
	Reason  string // reason code
	Detail  string // words for a person; never a payload
	Payload []byte // the saga's input, a step's result or an operator's replaced input
	At      time.Time

	// Of SagaStarted.
	Definition string
	Version    string
	Mode       Mode
	Key        string // business key, for searching
	Trace      string // W3C traceparent of whoever started it

	// Of CancelRequested, IncidentResolved, and the StepDone, StepSkipped or CompensationDone with which an operator ended a step.
	Verb Verb
	By   string

	// Epoch is the tenure of the coordinator that wrote SagaStarted and SagaRecovered.
	Epoch uint64
}

// String names the kind as pages and the command line show it.
func (k Kind) String() string {
	switch k {
	case SagaStarted:
		return "saga started"
	case SagaRecovered:
		return "saga recovered"
	case CancelRequested:
		return "cancel requested"
	case DeadlineExpired:
		return "deadline expired"
	case SagaCompensating:
		return "saga compensating"
	case SagaCompleted:
		return "saga completed"
	case SagaCompensated:
		return "saga compensated"
	case StepAsked:
		return "step asked"
	case StepRetrying:
		return "step retrying"
	case StepDone:
		return "step done"
	case StepRefused:
		return "step refused"
	case StepFailed:
		return "step failed"
	case StepSkipped:
		return "step skipped"
	case StepAnsweredLate:
		return "step answered late"
	case CompensationAsked:
		return "compensation asked"
	case CompensationRetrying:
		return "compensation retrying"
	case CompensationDone:
		return "compensation done"
	case IncidentOpened:
		return "incident opened"
	case IncidentResolved:
		return "incident resolved"
	case IncidentClosed:
		return "incident closed"
	}
	return "unknown kind"
}
