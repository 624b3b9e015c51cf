package main

type relays struct{}

func (a *agent) serveEgress(int) error { return nil }
