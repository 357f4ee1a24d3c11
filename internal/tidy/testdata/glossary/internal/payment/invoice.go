package payment

type Invoice struct{}
