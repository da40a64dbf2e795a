# shellcheck shell=bash disable=SC2154,SC2034
# PostgreSQL 17 with TimescaleDB. Debian ships the Apache edition: no continuous aggregates, no compression.

listens[timescaledb]="PG"

timescaledb_prepare() {
  own_dir data/timescaledb
  own_dir conf/timescaledb
  # syncfs: after a SIGKILL, opening and fsyncing each of 3000 files can take 20 s on a busy disk.
  # No TimescaleDB workers: their schedulers keep a session in every database, so that none could be copied
  # (template) or dropped, and in this edition the one job they have fails. SQL called by a client is unaffected.
  private conf/timescaledb/settings.conf <<X
listen_addresses = '127.0.0.1'
port = ${ports[PG]}
unix_socket_directories = '/srv/run'
shared_preload_libraries = 'timescaledb,pg_stat_statements'
max_connections = 100
timescaledb.max_background_workers = 0
shared_buffers = 128MB
max_wal_size = 1GB
recovery_init_sync_method = syncfs
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
X
  # a first start that was cut short is begun again from nothing
  if [[ ! -f $home/data/timescaledb/complete ]]; then
    rm -rf "$home/data/timescaledb/pgdata"
    run_inside initdb -D /srv/data/timescaledb/pgdata -U postgres -E UTF8 --locale=C.UTF-8 --no-sync \
      --auth-local=trust --auth-host=scram-sha-256 >"$home/log/initdb.log" 2>&1 ||
      die "initdb failed: see $home/log/initdb.log"
    echo "include '/srv/conf/timescaledb/settings.conf'" >>"$home/data/timescaledb/pgdata/postgresql.conf"
  fi
  argv=(postgres -D /srv/data/timescaledb/pgdata)
}

timescaledb_ready() { run_inside pg_isready -q -t 2 -h /srv/run -p "${ports[PG]}" -U postgres -d postgres; }

timescaledb_settle() {
  if [[ -f $home/data/timescaledb/complete ]]; then
    # of before tests made roles
    run_inside psql -Xq -h /srv/run -p "${ports[PG]}" -U postgres -d postgres -c "alter role $user createrole"
    return
  fi
  # through the socket in a folder that only root and the daemons can enter: no password
  run_inside psql -Xq -v ON_ERROR_STOP=1 -h /srv/run -p "${ports[PG]}" -U postgres -d postgres \
    >"$home/log/bootstrap.log" 2>&1 <<X || die "setting up the database failed: see $home/log/bootstrap.log"
create role $user login createdb createrole password '${password[timescaledb]}';
grant pg_monitor to $user;
create database ${user}_template;
\c ${user}_template
create extension timescaledb;
create extension pg_stat_statements;
\c postgres
alter database ${user}_template with is_template true allow_connections false;
create database $database template ${user}_template owner $user;
X
  : >"$home/data/timescaledb/complete"
}

timescaledb_env() {
  local server="postgres://$user:${password[timescaledb]}@127.0.0.1:${ports[PG]}"
  echo "export TGW_TIMESCALE__URL='$server/$database?sslmode=disable'"
}

client_psql() {
  private conf/pgpass <<<"127.0.0.1:*:*:$user:${password[timescaledb]}"
  run_inside PGPASSFILE=/srv/conf/pgpass PGHOST=127.0.0.1 PGPORT="${ports[PG]}" PGUSER="$user" PGDATABASE="$database" \
    PSQL_PAGER=cat psql "$@"
}
