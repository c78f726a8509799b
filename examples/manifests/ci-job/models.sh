#!/bin/sh
# A CI step that brings the models in and fails for the right reason.
#
# civsync.lock is committed beside civsync.yaml. Keep the folder `models` in the CI's cache, with
# the hash of civsync.lock as its key: with nothing to do, `sync` asks the network nothing.
set -eu
cd "$(dirname "$0")"

# Exit 3: somebody edited civsync.yaml and did not run `civsync lock`. Needs no network.
civsync lock --check

# CI=true, which CI systems set, implies --locked: the lock is followed, never changed.
civsync sync --locked

# A cache is not trusted blindly: read every file again. Exit 5 if one differs.
civsync verify
