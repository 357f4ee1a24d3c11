package engine

import "strconv"

// String names a step, for the log and for tests.
func (s PayStep) String() string {
	switch s {
	case StepOpen:
		return "open"
	case StepRegister:
		return "register"
	case StepReserve:
		return "reserve"
	case StepBuild:
		return "build"
	case StepPlan:
		return "plan"
	case StepSign:
		return "sign"
	case StepSigned:
		return "signed"
	case StepSend:
		return "send"
	case StepSent:
		return "sent"
	case StepResend:
		return "resend"
	case StepBump:
		return "bump"
	case StepBumped:
		return "bumped"
	case StepVoid:
		return "void"
	case StepVoided:
		return "voided"
	case StepNarrow:
		return "narrow"
	case StepNarrowed:
		return "narrowed"
	}
	return "step " + strconv.Itoa(int(s))
}
