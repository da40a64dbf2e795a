#!/bin/sh
# Starts one of the three Redis processes of compose.yaml: redis, replica or sentinel.
# Its configuration lives beside its data, because Redis and Sentinel write into it who is master now. Only the
# lines with the password are made anew each time.
set -eu
umask 077

case $1 in
  sentinel)
    [ -f sentinel.conf ] || cat >sentinel.conf <<X
port $SENTINEL_PORT
sentinel monitor telegram 127.0.0.1 $REDIS_PORT 1
sentinel down-after-milliseconds telegram 5000
sentinel failover-timeout telegram 30000
X
    # these must come after the monitor line. Sentinel itself has no password: only 127.0.0.1 reaches it
    sed -i '/^sentinel auth-/d; /^protected-mode /d' sentinel.conf
    printf '%s\n' 'protected-mode no' 'sentinel auth-user telegram telegram' \
      "sentinel auth-pass telegram $REDIS_PASSWORD" >>sentinel.conf
    exec redis-sentinel "$PWD/sentinel.conf"
    ;;
  redis) port=$REDIS_PORT ;;
  replica) port=$REPLICA_PORT ;;
  *) echo "usage: redis-node.sh redis|replica|sentinel" >&2; exit 2 ;;
esac

if [ ! -f redis.conf ]; then
  cat >redis.conf <<X
port $port
appendonly yes
save ""
repl-diskless-sync-delay 0
replica-announce-ip 127.0.0.1
replica-announce-port $port
X
  [ "$1" = redis ] || echo "replicaof 127.0.0.1 $REDIS_PORT" >>redis.conf
fi
# With its default user off, protected mode would refuse whoever comes through the published port.
sed -i '/^user /d; /^masteruser /d; /^masterauth /d; /^protected-mode /d' redis.conf
cat >>redis.conf <<X
protected-mode no
user default off
user telegram on >$REDIS_PASSWORD ~* &* +@all
masteruser telegram
masterauth $REDIS_PASSWORD
X
exec redis-server "$PWD/redis.conf"
