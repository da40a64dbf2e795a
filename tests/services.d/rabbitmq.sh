# shellcheck shell=bash disable=SC2154,SC2034
# RabbitMQ 4 with the management API and the Prometheus page. The user is an administrator, so that a test can
# make itself a virtual host through the API.

listens[rabbitmq]="AMQP RABBITMQ_API RABBITMQ_PROM RABBITMQ_DIST EPMD"

# The node's name must not hold the machine's: the data folder is named after it. Without
# inet_dist_use_interface the distribution port listens on every address. Idle schedulers spin by default,
# which takes the processor from the tests.
rabbitmq_environment() {
  environment=(
    HOME=/srv/conf/rabbitmq
    HOSTNAME=localhost
    "RABBITMQ_NODENAME=$user@localhost"
    RABBITMQ_MNESIA_BASE=/srv/data/rabbitmq
    RABBITMQ_CONFIG_FILE=/srv/conf/rabbitmq/rabbitmq.conf
    RABBITMQ_ENABLED_PLUGINS_FILE=/srv/conf/rabbitmq/enabled_plugins
    RABBITMQ_LOGS=-
    RABBITMQ_PID_FILE=/tmp/rabbitmq.pid
    RABBITMQ_DIST_PORT="${ports[RABBITMQ_DIST]}"
    ERL_EPMD_PORT="${ports[EPMD]}"
    ERL_EPMD_ADDRESS=127.0.0.1
    "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
  )
}

rabbitmq_prepare() {
  local environment
  own_dir data/rabbitmq
  own_dir conf/rabbitmq
  # default_* make the virtual host and the user at the first boot
  private conf/rabbitmq/rabbitmq.conf <<X
listeners.tcp.default = 127.0.0.1:${ports[AMQP]}
management.tcp.ip = 127.0.0.1
management.tcp.port = ${ports[RABBITMQ_API]}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = ${ports[RABBITMQ_PROM]}
default_vhost = $user
default_user = $user
default_pass = ${password[rabbitmq]}
default_user_tags.administrator = true
vm_memory_high_watermark.absolute = 512MiB
raft.wal_max_size_bytes = 67108864
disk_free_limit.absolute = 200MB
log.console = true
log.file = false
X
  private conf/rabbitmq/enabled_plugins <<<'[rabbitmq_management,rabbitmq_prometheus].'
  if [[ ! -f $home/conf/rabbitmq/.erlang.cookie ]]; then
    od -An -N16 -tx1 /dev/urandom | tr -d ' \n' | private conf/rabbitmq/.erlang.cookie
    chmod 400 "$home/conf/rabbitmq/.erlang.cookie"
  fi
  rabbitmq_environment
  argv=("${environment[@]}" /usr/lib/rabbitmq/bin/rabbitmq-server)
}

# Lines must end in CRLF: a bare LF crashes RabbitMQ's listener.
rabbitmq_ready() {
  local credentials line
  credentials=$(printf '%s' "$user:${password[rabbitmq]}" | base64 -w0)
  (
    exec 3<>"/dev/tcp/127.0.0.1/${ports[RABBITMQ_API]}" &&
      printf 'GET /api/health/checks/virtual-hosts HTTP/1.0\r\nAuthorization: Basic %s\r\n\r\n' "$credentials" >&3 &&
      read -r -t 5 line <&3 && [[ $line == *' 200 '* ]]
  )
}

rabbitmq_env() {
  local credentials="$user:${password[rabbitmq]}"
  echo "export TGW_RABBITMQ__URL='amqp://$credentials@127.0.0.1:${ports[AMQP]}/$user'"
  echo "export TGW_TEST_RABBITMQ_API='http://$credentials@127.0.0.1:${ports[RABBITMQ_API]}'"
  echo "export TGW_TEST_RABBITMQ_METRICS='http://127.0.0.1:${ports[RABBITMQ_PROM]}/metrics'"
}

client_rabbitmqctl() {
  local environment
  rabbitmq_environment
  run_inside "${environment[@]}" /usr/lib/rabbitmq/bin/rabbitmqctl "$@"
}
