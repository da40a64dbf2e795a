# shellcheck shell=bash disable=SC2154,SC2034
# PgBouncer in transaction mode, as the gateway meets it in production. Starts whether PostgreSQL is up or not.

listens[pgbouncer]="PGBOUNCER"

pgbouncer_prepare() {
  own_dir conf/pgbouncer
  private conf/pgbouncer/users <<<"\"$user\" \"${password[timescaledb]}\""
  private conf/pgpass <<<"127.0.0.1:*:*:$user:${password[timescaledb]}"
  # without max_prepared_statements sqlx breaks; server_login_retry makes it notice a restarted PostgreSQL soon
  private conf/pgbouncer/pgbouncer.ini <<X
[databases]
* = host=127.0.0.1 port=${ports[PG]}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${ports[PGBOUNCER]}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = /srv/conf/pgbouncer/users
admin_users = $user
pool_mode = transaction
max_prepared_statements = 200
default_pool_size = 20
max_client_conn = 200
server_login_retry = 1
ignore_startup_parameters = extra_float_digits,search_path
X
  argv=(pgbouncer /srv/conf/pgbouncer/pgbouncer.ini)
}

# a real login on its own console, so that the answer says nothing about PostgreSQL
pgbouncer_ready() {
  run_inside PGPASSFILE=/srv/conf/pgpass PGCONNECT_TIMEOUT=2 \
    psql -XAtq -h 127.0.0.1 -p "${ports[PGBOUNCER]}" -U "$user" -d pgbouncer -c 'show version'
}

pgbouncer_env() {
  echo "export TGW_TEST_PGBOUNCER_URL='postgres://$user:${password[timescaledb]}@127.0.0.1:${ports[PGBOUNCER]}/$database?sslmode=disable'"
}
