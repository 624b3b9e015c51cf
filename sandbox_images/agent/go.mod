module continueexec/agent

go 1.24
