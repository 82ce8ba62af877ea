# A private PostgreSQL in a folder: sourced by script/stack and
# script/with-postgres. The server runs as an ordinary user, listens on
# loopback on a free port, and is stopped by its process id.
#
#   pg_private_start DIR   makes DIR/pg when missing and starts it; sets PG_PORT
#   pg_private_stop DIR [fast|immediate]
#   pg_private_copy FROM TO, pg_private_promote DIR   a standby
#   PG_SUPER_DSN           connection string of the superuser, once started

pg_bindir() {
    local dir
    for dir in /usr/lib/postgresql/*/bin; do
        [ -x "$dir/initdb" ] && echo "$dir" && return 0 # a bare return in a trap gives what was before it
    done
    echo "no PostgreSQL server found: run script/bootstrap" >&2
    return 1
}

# The server refuses to run as root, so root lends it a user of its own.
# PG_ENV: "NAME=VALUE..." for its environment alone.
pg_run_as() {
    if [ "$(id -u)" = 0 ]; then
        id foliopost-db >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin foliopost-db
        setpriv --reuid=foliopost-db --regid="$(id -g foliopost-db)" --clear-groups env ${PG_ENV:-} "$@"
    else
        env ${PG_ENV:-} "$@"
    fi
}

# Below the range of outgoing connections: see foliostack.py.
free_port() {
    /usr/bin/python3 -c 'import random, socket
while True:
    port = random.randrange(20000, 32000)
    try:
        socket.socket().bind(("127.0.0.1", port))
        break
    except OSError:
        pass
print(port)'
}

pg_private_start() {
    local dir=$1 bin
    bin=$(pg_bindir) || return 1
    mkdir -p "$dir"
    if [ ! -f "$dir/pg/PG_VERSION" ]; then
        mkdir -p "$dir/pg" "$dir/pg-sock"
        if [ "$(id -u)" = 0 ]; then
            id foliopost-db >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin foliopost-db
            chown foliopost-db: "$dir/pg" "$dir/pg-sock"
        fi
        chmod 700 "$dir/pg"
        (cd / && pg_run_as "$bin/initdb" -D "$dir/pg" -U foliopost -A trust -E UTF8 --locale=C.UTF-8 >"$dir/initdb.log" 2>&1) ||
            { cat "$dir/initdb.log" >&2; return 1; }
        [ -f "$dir/pg.port" ] || free_port >"$dir/pg.port"
    fi
    PG_PORT=$(cat "$dir/pg.port")
    PG_SUPER_DSN="host=127.0.0.1 port=$PG_PORT user=foliopost dbname=postgres"
    (cd / && pg_run_as "$bin/pg_ctl" -D "$dir/pg" status >/dev/null 2>&1) && return # runs already
    : >>"$dir/pg.log"
    [ "$(id -u)" = 0 ] && chown foliopost-db: "$dir/pg.log"
    (cd / && pg_run_as "$bin/pg_ctl" -D "$dir/pg" -w -t 60 -l "$dir/pg.log" -o \
        "-p $PG_PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories='$dir/pg-sock' -c max_connections=100 -c shared_buffers=256MB -c max_wal_size=4GB -c synchronous_commit=on ${PG_EXTRA_OPTIONS:-}" \
        start >"$dir/pg_ctl.log" 2>&1) || { cat "$dir/pg_ctl.log" >&2; tail -20 "$dir/pg.log" >&2; return 1; }
}

pg_private_stop() {
    local dir=$1 mode=${2:-fast} bin
    [ -f "$dir/pg/postmaster.pid" ] || return 0
    bin=$(pg_bindir) || return 1
    (cd / && pg_run_as "$bin/pg_ctl" -D "$dir/pg" -m "$mode" -w -t 30 stop >/dev/null 2>&1) || true
}

# pg_private_copy FROM TO: a standby of a running server, in the new folder TO
pg_private_copy() {
    local from=$1 to=$2 bin
    bin=$(pg_bindir) || return 1
    mkdir -p "$to/pg" "$to/pg-sock"
    [ "$(id -u)" = 0 ] && chown foliopost-db: "$to/pg" "$to/pg-sock"
    chmod 700 "$to/pg"
    free_port >"$to/pg.port"
    (cd / && pg_run_as "$bin/pg_basebackup" -h 127.0.0.1 -p "$(cat "$from/pg.port")" -U foliopost -D "$to/pg" -R -X stream -c fast)
}

pg_private_promote() {
    local bin
    bin=$(pg_bindir) || return 1
    (cd / && pg_run_as "$bin/pg_ctl" -D "$1/pg" -w -t 30 promote)
}
