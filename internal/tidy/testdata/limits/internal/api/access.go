package api

const free = 1
