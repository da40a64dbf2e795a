# shellcheck shell=bash disable=SC2154,SC2034
# Two Redis nodes and a Sentinel. `redis` begins as the master and `replica` follows it; after a failover the
# names stay with their ports and the roles do not.

listens[redis]="REDIS" listens[replica]="REPLICA" listens[sentinel]="SENTINEL"

# Port of the master. Sentinel's word first: a restart that ignored it would make two masters.
redis_master() {
  local master
  master=$(awk '$1 == "sentinel" && $2 == "monitor" {print $5}' "$home/conf/sentinel/sentinel.conf" 2>/dev/null) || true
  if [[ -z $master ]]; then
    master=${ports[REDIS]}
    [[ $(redis_role "$master") == master || $(redis_role "${ports[REPLICA]}") != master ]] || master=${ports[REPLICA]}
  fi
  echo "$master"
}

# `master`, or `slave connected` and the like; nothing when the node does not answer
redis_role() {
  local line words=()
  {
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    printf 'AUTH %s %s\r\nROLE\r\nQUIT\r\n' "$user" "${password[redis]}" >&3
    while read -r -t 2 line <&3; do
      line=${line%$'\r'}
      [[ $line == [a-z]* ]] && words+=("$line")
    done
  } 2>/dev/null
  echo "${words[*]}"
}

redis_node_prepare() { # NAME KEY
  local master
  own_dir "data/$1"
  own_dir "conf/$1"
  master=$(redis_master)
  # written anew at each start: Sentinel changes the role in it
  {
    cat <<X
bind 127.0.0.1
port ${ports[$2]}
dir /srv/data/$1
databases 64
appendonly yes
save ""
repl-diskless-sync-delay 0
replica-announce-ip 127.0.0.1
replica-announce-port ${ports[$2]}
user default off
user $user on >${password[redis]} ~* &* +@all
masteruser $user
masterauth ${password[redis]}
X
    [[ $master == "${ports[$2]}" ]] || echo "replicaof 127.0.0.1 $master"
  } | private "conf/$1/redis.conf"
  argv=(redis-server "/srv/conf/$1/redis.conf")
}

# A follower is ready when it has its master's data, or at once when there is no master to ask.
redis_node_ready() { # KEY
  case $(redis_role "${ports[$1]}") in
    master | *connected) ;;
    slave*) ! listening "$(redis_master)" ;;
    *) return 1 ;;
  esac
}

redis_prepare() { redis_node_prepare redis REDIS; }
redis_ready() { redis_node_ready REDIS; }
replica_prepare() { redis_node_prepare replica REPLICA; }
replica_ready() { redis_node_ready REPLICA; }

sentinel_prepare() {
  own_dir data/sentinel
  # Sentinel keeps its state in this file
  if [[ ! -f $home/conf/sentinel/sentinel.conf ]]; then
    local master
    master=$(redis_master)
    own_dir conf/sentinel
    private conf/sentinel/sentinel.conf <<X
bind 127.0.0.1
port ${ports[SENTINEL]}
dir /srv/data/sentinel
sentinel monitor $user 127.0.0.1 $master 1
sentinel auth-user $user $user
sentinel auth-pass $user ${password[redis]}
sentinel down-after-milliseconds $user 2000
sentinel failover-timeout $user 10000
X
  fi
  argv=(redis-sentinel /srv/conf/sentinel/sentinel.conf)
}

sentinel_ready() {
  local line
  (exec 3<>"/dev/tcp/127.0.0.1/${ports[SENTINEL]}" && printf 'PING\r\n' >&3 && read -r -t 2 line <&3 && [[ $line == +PONG* ]])
}

redis_url() { echo "redis://$user:${password[redis]}@127.0.0.1:$1"; }
redis_env() { redis_node_env REDIS; }
replica_env() { redis_node_env REPLICA; }
redis_node_env() { # KEY
  if [[ $(redis_master) == "${ports[$1]}" ]]; then
    echo "export TGW_REDIS__URL='$(redis_url "${ports[$1]}")'"
  else
    echo "export TGW_TEST_REDIS_REPLICA_URL='$(redis_url "${ports[$1]}")'"
  fi
}
sentinel_env() {
  echo "export TGW_TEST_SENTINEL='127.0.0.1:${ports[SENTINEL]}'"
  echo "export TGW_TEST_SENTINEL_MASTER='$user'"
}

client_redis_cli() {
  local login=(--user "$user" --no-auth-warning)
  # Sentinel has no users
  [[ " $* " != *" -p ${ports[SENTINEL]} "* ]] || login=()
  # shellcheck disable=SC2016
  run_inside sh -c '[ "$1" = --user ] && REDISCLI_AUTH=$(sed -n s/^redis=//p /srv/conf/passwords) && export REDISCLI_AUTH
    exec redis-cli -h 127.0.0.1 "$@"' sh "${login[@]}" -p "${ports[REDIS]}" "$@"
}
