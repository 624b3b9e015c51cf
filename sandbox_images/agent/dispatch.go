package main

import (
	"encoding/json"
	"log"
	"runtime/debug"

	"continueexec/agent/wire"
)

// operation begins a method on the connection's reader, so in the order in which requests came; it must not block
// there. What takes time is returned and runs beside it. Either part answers with ok or fail, once.
type operation func(a *agent, r *request) (rest func())

// operations: one row per method; each lives in the file of its name.
func operations() map[string]operation {
	return map[string]operation{
		wire.MethodHello:    hello,
		wire.MethodExec:     exec,
		wire.MethodAttach:   attach,
		wire.MethodForget:   forget,
		wire.MethodSignal:   sendSignal,
		wire.MethodResize:   resize,
		wire.MethodStat:     stat,
		wire.MethodList:     list,
		wire.MethodRead:     read,
		wire.MethodPush:     push,
		wire.MethodWatch:    watch,
		wire.MethodPorts:    ports,
		wire.MethodConnect:  connect,
		wire.MethodClose:    closeStream,
		wire.MethodShutdown: shutdown,
	}
}

var methods = operations()

// request is one request that waits for its answer.
type request struct {
	conn   *conn
	id     int64
	method string
	params json.RawMessage
}

// control handles one CONTROL frame. An error closes the connection: what cannot be read cannot be answered.
func (c *conn) control(payload []byte) error {
	var message struct {
		ID     *int64          `json:"id"`
		Method string          `json:"method"`
		Params json.RawMessage `json:"params"`
	}
	if err := wire.Unmarshal(payload, &message); err != nil {
		return wire.FrameError("a CONTROL frame is not a request: " + err.Error())
	}
	if message.ID == nil {
		return nil // a notification; this agent knows none
	}
	r := &request{c, *message.ID, message.Method, message.Params}
	if len(r.params) == 0 {
		r.params = json.RawMessage("{}")
	}
	if !c.greeted && r.method != wire.MethodHello {
		r.fail(fail(wire.CodeProtocolError, "", "The first request is hello, not %q.", r.method))
		return nil
	}
	begin := methods[r.method]
	if begin == nil {
		r.fail(fail(wire.CodeNotSupported, "Use a newer agent: restart the sandbox.", "The agent has no method %q.", r.method))
		return nil
	}
	if rest := r.guard(begin); rest != nil {
		go r.guard(func(*agent, *request) func() { rest(); return nil })
	}
	return nil
}

// guard runs a part of a method; a defect in it becomes the error `internal`.
func (r *request) guard(part operation) func() {
	defer func() {
		if defect := recover(); defect != nil {
			log.Printf("a defect in %s: %v\n%s", r.method, defect, debug.Stack())
			r.fail(fail(wire.CodeInternal, hints[wire.CodeInternal], "The agent failed in %s: %v.", r.method, defect))
		}
	}()
	return part(r.conn.agent, r)
}

// decode reads the parameters, or answers that they are wrong and returns false.
func (r *request) decode(into any) bool {
	// The texts were made safe for encoding/json when the message was read.
	if err := json.Unmarshal(r.params, into); err != nil {
		r.fail(invalid("The parameters of %s are wrong: %v.", r.method, err))
		return false
	}
	return true
}

func (r *request) ok(result any) {
	r.answer(struct {
		ID     int64 `json:"id"`
		Result any   `json:"result"`
	}{r.id, result})
}

func (r *request) fail(err error) {
	r.answer(struct {
		ID    int64    `json:"id"`
		Error *failure `json:"error"`
	}{r.id, asFailure(err, r.method)})
}

func (r *request) answer(message any) {
	payload, err := wire.Marshal(message)
	if err == nil && len(payload) > wire.MaxPayload {
		payload, err = wire.Marshal(map[string]any{"id": r.id, "error": fail(wire.CodeTooLarge,
			"Ask for less at once.", "The answer to %s has %d bytes; a frame holds %d.", r.method, len(payload), wire.MaxPayload)})
	}
	if err != nil {
		log.Printf("an answer to %s cannot be written: %v", r.method, err)
		return
	}
	r.conn.out.send(wire.Encode(wire.KindControl, 0, payload))
}

// notify sends a notification. With wait it first waits until the host has read most of the earlier ones, so that a
// host that does not read cannot make the agent grow.
func (c *conn) notify(event string, stream uint32, params any, wait bool) {
	payload, err := wire.Marshal(struct {
		Event  string `json:"event"`
		Params any    `json:"params"`
	}{event, params})
	if err != nil {
		log.Printf("the notification %s cannot be written: %v", event, err)
		return
	}
	if wait {
		c.out.waitForRoom()
	}
	c.out.send(wire.Encode(wire.KindControl, stream, payload))
}
