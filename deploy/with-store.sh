#!/bin/sh
# Runs a command that knows the store that the nodes share: makes TALLYD_STORE from STORE, which names the store, and
# from the file with its password, so that no password stands in compose.yaml or in what `docker inspect` shows.
set -eu
secrets=${SECRETS:-/run/secrets}

case "${STORE:-}" in
  postgres)
    password=$(cat "$secrets/postgres_password")
    TALLYD_STORE="postgres://tallyd:${password}@postgres:5432/tallyd"
    ;;
  redis)
    password=$(cat "$secrets/redis_password")
    TALLYD_STORE="redis://:${password}@redis-1:6379,redis-2:6379,redis-3:6379,redis-4:6379,redis-5:6379,redis-6:6379"
    ;;
  *)
    echo "with-store: COMPOSE_PROFILES is '${STORE:-}': make it postgres or redis" >&2
    exit 2
    ;;
esac
export TALLYD_STORE
exec "$@"
