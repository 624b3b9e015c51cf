"""Host → sandbox: what lies in the workspace on the host lies at the same path inside. (docs/reference/mirror.md)

workspace   which folder is the workspace, and which never may be
mirror      Mirror: start, flush, live, stop; the only part with an event loop
plan        what changed → what to delete, make and write
walk        the tree below a folder, folder by folder, watched before it is read
batch       files → records with their bytes, in batches; content hashes decide
seed        the first mirror of a sandbox that has never run, written on the host
state       what is known to be inside, kept across restarts
buffers     editors' unsaved texts
target      what is pushed to

filter      which paths are mirrored: the decision
patterns    the language of .gitignore
repository  what Git knows: tracked files, its excludes; the one place that starts git
secrets     names and contents that stay out

watch       what a watcher is, and which one this host gets
inotify     Linux: exact, nothing is awaited
portable    elsewhere: watchfiles
"""
