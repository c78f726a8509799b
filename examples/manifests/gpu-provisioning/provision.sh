#!/bin/sh
# Brings the locked models onto a fresh machine. Run it at boot, as often as you like: what is in
# place is left alone, and a download that was cut off goes on where it stopped.
#
# MODELS_ROOT      ComfyUI's models folder
# CIVITAI_API_KEY  from the machine's secrets, if a model needs a login; never in these files
set -u
cd "$(dirname "$0")" || exit 1
root=${MODELS_ROOT:-/workspace/ComfyUI/models}

# --frozen reads civsync.lock alone: no model is looked up, so every machine gets the same bytes.
tries=0
while :; do
    civsync sync --frozen --root "$root" --jobs "${CIVSYNC_JOBS:-8}"
    status=$?
    tries=$((tries + 1))
    # 75 is the only status that time alone can mend (network, rate limit, busy root).
    if [ "$status" -ne 75 ] || [ "$tries" -ge 5 ]; then
        break
    fi
    sleep "${RETRY_SECONDS:-60}"
done

# 6: a key is missing or may not download a model; 7: a model is served no more; 5: wrong bytes.
# What could be placed is in place all the same.
exit "$status"
