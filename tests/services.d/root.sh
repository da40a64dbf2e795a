# shellcheck shell=bash disable=SC2154
# The unpacked Debian 13 in which the services run. TimescaleDB, RabbitMQ 4 and a PgBouncer that knows
# prepared statements are not in Debian 12, hence the newer suite, whatever the machine itself runs.

suite=trixie
packages=(
  postgresql-17 postgresql-client-17 postgresql-17-timescaledb pgbouncer
  redis-server redis-sentinel redis-tools rabbitmq-server
  # Essential packages, which nothing depends on by name: initdb and RabbitMQ's scripts need a shell
  dash coreutils sed grep mawk hostname findutils
)
# In the closure, but not needed to run (mostly LLVM, Perl and Python): 330 MiB instead of 750.
ballast=(
  libllvm19 libz3-4 'perl.*' 'libperl5.*' 'lib.*-perl' 'python3.*' 'libpython3.*' 'libjs-.*' javascript-common
  'fonts-.*' locales libc-l10n media-types readline-common debconf libdebconfclient0 dpkg tar adduser passwd
  base-passwd login.defs lock ucf sensible-utils sysvinit-utils init-system-helpers procps libproc2-0 socat
  'postgresql-common.*' postgresql-client-common ssl-cert openssl openssl-provider-legacy libsasl2-modules-db
  libdb5.3t64 libsqlite3-0 'libgdbm.*' libwrap0 libexpat1 libffi8 libedit2 gcc-14-base
  'libsemanage.*' libsepol2 'libpam-modules.*' libaudit-common
)

install_root() {
  local recipe
  recipe="$suite $(dpkg --print-architecture) $(echo "${packages[*]} ${ballast[*]}" | cksum)"
  ! unpacked "$recipe" || return 0
  mkdir -p "$(dirname "$root")"
  (
    exec 7>"$root.lock"
    flock 7
    ! unpacked "$recipe" || exit 0
    if [[ -e $root ]]; then
      [[ -z ${TGW_SERVICES_ROOT:-} ]] ||
        die "$root was unpacked by another version of this script: delete it, or point TGW_SERVICES_ROOT elsewhere"
      for name in "${services[@]}"; do
        ! alive "$name" || die "the list of packages has changed: tests/services stop, then again"
      done
    fi
    fetch_and_unpack "$recipe"
  )
}
unpacked() { [[ -f $root/.complete && $(<"$root/.complete") == "$1" ]]; }

fetch_and_unpack() {
  local began work=$root.apt new=$root.new link names
  began=$(now)
  rm -rf "$work" "$new"
  mkdir -p "$work"/{etc/apt.conf.d,etc/preferences.d,lists/partial,archives/partial} "$new"
  : >"$work/status"
  write_apt_conf "$work" >"$work/apt.conf"
  export APT_CONFIG=$work/apt.conf   # of this subshell
  update_lists "$work"
  echo "package lists: $(took "$began")"

  apt-get install -y --print-uris "${packages[@]}" >"$work/closure" 2>"$work/log" || apt_failed "$work"
  # the second column is the file's plain name; the address has it percent-encoded
  mapfile -t names < <(sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p" "$work/closure" |
    grep -vxE "$(IFS='|'; echo "${ballast[*]}")")
  (cd "$work/archives" && apt-get -qq download "${names[@]}") >"$work/log" 2>&1 || apt_failed "$work"
  echo "${#names[@]} packages, $(du -sm "$work/archives" | cut -f1) MiB: $(took "$began")"

  find "$work/archives" -name '*.deb' -print0 | xargs -0 -P "$(nproc)" -I{} dpkg -x {} "$new" ||
    die "unpacking failed; is the disk full? (df -h $root)"
  rm -rf "$new"/usr/share/{doc,man,locale,info,lintian}
  # dpkg -x makes no links for the merged /usr, and without them nothing finds its loader
  for link in bin sbin lib lib64; do
    [[ ! -d $new/usr/$link ]] || ln -sfn "usr/$link" "$new/$link"
  done
  mkdir -p "$new"/{proc,dev,tmp,srv}
  printf 'root:x:0:0::/:/bin/sh\nservices:x:%s:%s::/tmp:/bin/sh\n' "$uid" "$uid" >"$new/etc/passwd"
  printf 'root:x:0:\nservices:x:%s:\n' "$uid" >"$new/etc/group"
  echo '127.0.0.1 localhost' >"$new/etc/hosts"
  printf 'hosts: files\npasswd: files\ngroup: files\n' >"$new/etc/nsswitch.conf"
  echo "$1" >"$new/.complete"
  rm -rf "$root"
  mv "$new" "$root"
  rm -rf "$work"
  echo "unpacked, $(du -sm "$root" | cut -f1) MiB: $(took "$began")"
}

# apt with a state of its own, so that the machine's is neither read nor changed, but with the machine's way
# to the network (proxy, retries, credentials).
write_apt_conf() {
  apt-config dump | grep '^Acquire::' | grep -v '^Acquire::IndexTargets' || true
  cat <<X
#clear Acquire::Languages;
Acquire::Languages "none";
Dir::Etc "$1/etc";
Dir::Etc::sourcelist "$1/etc/sources.list";
Dir::Etc::netrc "/etc/apt/auth.conf";
Dir::Etc::netrcparts "/etc/apt/auth.conf.d";
Dir::State "$1";
Dir::State::status "$1/status";
Dir::State::lists "$1/lists";
Dir::Cache "$1";
Dir::Cache::archives "$1/archives";
APT::Architecture "$(dpkg --print-architecture)";
APT::Architectures { "$(dpkg --print-architecture)"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
X
}

# The first mirror of the machine's apt sources that serves the suite. Other vendors' repositories may be named
# after a Debian release too; they fail here, since only Debian's own key is accepted.
update_lists() {
  local work=$1 mirror security mirrors option
  option='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
  mapfile -t mirrors < <(host_sources | sed -n 's/^main //p')
  [[ -z ${TGW_SERVICES_MIRROR:-} ]] || mirrors=("$TGW_SERVICES_MIRROR")
  security=$(host_sources | sed -n 's/^security //p' | head -n1)
  ((${#mirrors[@]})) || die "no Debian mirror in this machine's apt sources: set TGW_SERVICES_MIRROR to one"
  for mirror in "${mirrors[@]}"; do
    echo "deb $option $mirror $suite main" >"$work/etc/main"
    if [[ $security ]]; then
      { cat "$work/etc/main"; echo "deb $option $security $suite-security main"; } >"$work/etc/sources.list"
      ! apt-get -qq update >"$work/log" 2>&1 || return 0
      echo "no $suite-security at $security: going on without"
    fi
    cp "$work/etc/main" "$work/etc/sources.list"
    ! apt-get -qq update >"$work/log" 2>&1 || return 0
  done
  apt_failed "$work"
}

# `main URL` and `security URL`. apt itself reads its sources, so every format of them is understood.
host_sources() {
  local codename
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-$suite}")
  APT_CONFIG=/dev/null apt-get -o Debug::NoLocking=1 --print-uris update 2>/dev/null |
    sed -n "s|^'\(.*\)/dists/\([^/']*\)/InRelease'.*|\2 \1|p" |
    sed -nE "s/^($codename|$suite|stable|testing|unstable|sid) /main /p; s/^[^ ]*-security /security /p" | awk '!seen[$0]++'
}

apt_failed() {
  tail -n 5 "$1/log" >&2
  die "the packages could not be fetched (apt's words above). Without network: copy an unpacked .services/root here" \
    "or set TGW_SERVICES_ROOT. Unknown key: apt-get install debian-archive-keyring. Another mirror: TGW_SERVICES_MIRROR"
}
