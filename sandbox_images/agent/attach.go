package main

import "continueexec/agent/wire"

// attach takes a run over on a new connection: output from an offset on, and exited if it has ended.
func attach(a *agent, r *request) func() {
	var params wire.Attach
	if !r.decode(&params) {
		return nil
	}
	command, err := a.run(params.Stream)
	if err != nil {
		r.fail(err)
		return nil
	}
	select {
	case <-command.started:
	default:
		r.fail(fail(wire.CodeConflict, "Wait for the answer to exec.", "The run on stream %d is being started.", params.Stream))
		return nil
	}
	command.mu.Lock()
	defer command.mu.Unlock()
	at := newAttachment(command, r.conn)
	if err := command.mayAttach(params.Offset); err != nil {
		r.fail(err)
		return nil
	}
	if command.attachment != nil { // again on this connection: only the newest counts
		r.conn.drop(params.Stream, command.attachment)
	}
	if err := r.conn.adopt(params.Stream, at); err != nil {
		r.fail(err)
		return nil
	}
	r.ok(wire.Empty{}) // before any output can overtake it
	command.attach(at, params.Offset)
	return nil
}
