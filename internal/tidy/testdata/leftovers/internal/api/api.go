package api

// TODO: later. want

const path = "/root/pipe" // want

const fine = "/etc/pipe, todo"
