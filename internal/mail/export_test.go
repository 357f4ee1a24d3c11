package mail

// Faraway makes the server one that is not on this machine.
func Faraway(s *Sender) { s.plain = false }
