"""Git inside: a repository of the workspace has a `.git` of its own in the sandbox, made from parts.

    process.py    how git is started on the host: so that it starts nothing that a repository names
    host.py       the host's repository: where its parts are, whether they may be shown, what it holds now
    config.py     which of its settings go inside
    index.py      git's index: what is in it, and what is to be skipped
    names.py      names of refs: which are fit to come home, and what they are called there
    inside.py     the sandbox's repository, read and written as files through the agent
    merge.py      host and sandbox against what both last had in common: who moves whom
    copy.py       objects, where the host's own could not be shown
    memory.py     what both last had in common, kept on disk
    sync.py       host → sandbox, before every run
    pack.py       a pack from the sandbox: checked in quarantine, then taken into the host's objects
    fetch.py      sandbox → host: commits come home as refs/continue-exec/SANDBOX/*

Nothing here runs git on a repository of the sandbox's, and nothing that comes from it is believed.
"""
