#!/bin/sh
# Makes the cluster of the servers that are named, three primaries with a replica each, unless it is there already.
set -eu

REDISCLI_AUTH=$(cat "${SECRETS:-/run/secrets}/redis_password")
export REDISCLI_AUTH
host=${1%%:*}
port=${1##*:}

is_whole() {
  redis-cli -h "$host" -p "$port" cluster info | grep -q '^cluster_state:ok'
}

if redis-cli -h "$host" -p "$port" cluster info | grep -q '^cluster_known_nodes:1[^0-9]*$'; then
  redis-cli --cluster create "$@" --cluster-replicas 1 --cluster-yes
fi
tries=60
until is_whole; do
  tries=$((tries - 1))
  if [ "$tries" -eq 0 ]; then
    echo "redis-create: the cluster is not whole after a minute: see redis-cli --cluster check $1" >&2
    exit 1
  fi
  sleep 1
done
echo "redis-create: the cluster is whole"
