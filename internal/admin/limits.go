package admin

import "time"

const (
	// SignInRate bounds log-ins, sign-ups and codes per minute and caller in the long run, SignInBurst at once
	// (admin.SignInRate).
	SignInRate  = 5
	SignInBurst = 3
	// RatePerIP bounds all requests of one caller per minute. A choice.
	RatePerIP = 600
	// LanguageFor is how long a browser that is not logged in keeps its language.
	LanguageFor = 365 * 24 * time.Hour
	// DeviceFor is how long a browser is known as one that its user logged in with. A choice.
	DeviceFor = 180 * 24 * time.Hour
	// MaxApplicationForm bounds the forms of an application, in bytes: a logo, or all web service URLs.
	MaxApplicationForm = 96 << 10
	// MaxNoteForm bounds the form of a note, in bytes: engine.MaxNote characters of four bytes, each written as three.
	MaxNoteForm = 16 << 10
	// MaxNext bounds the address that a log-in leads back to, in bytes.
	MaxNext = 1024
	// MaxExport bounds the rows of a file, ExportPage those read at a time, ExportStep the time that each reading and writing
	// takes. Choices; a file holds 100,000 payments (experience A12).
	MaxExport  = 200_000
	ExportPage = 1_000
	ExportStep = 30 * time.Second
)
