package main

func connect(_ *agent, r *request) func() {
	r.fail(fail("not_supported", "", "later"))
	return nil
}
