package main

import (
	"os"

	"continueexec/agent/wire"
)

// hello is the first request of a connection: versions, capabilities, and what there is to adopt.
func hello(a *agent, r *request) func() {
	var params wire.Hello
	if !r.decode(&params) {
		return nil
	}
	if params.Token != "" && params.Token != r.conn.token {
		r.fail(fail(wire.CodeProtocolError, "", "The token is not the one that the doorbell rang with."))
		return nil
	}
	if older := params.Protocol == wire.Protocol-1 && params.Protocol >= 1; params.Protocol != wire.Protocol && !older {
		r.fail(fail(wire.CodeVersionMismatch, "Restart the sandbox: it then starts the agent of this version.",
			"The agent %s speaks protocol %d, the host %s speaks %d.", version, wire.Protocol, params.Version, params.Protocol))
		return nil
	}
	r.conn.greeted = true
	return func() {
		result := wire.HelloResult{
			Protocol: wire.Protocol, Version: version, Capabilities: wire.Capabilities, BootID: a.bootID, PID: os.Getpid(),
		}
		for _, run := range a.allRuns() {
			<-run.started // an exec of the connection before may still be at work
			if run.pid != 0 {
				result.Streams = append(result.Streams, run.status())
			}
		}
		r.ok(result)
	}
}
