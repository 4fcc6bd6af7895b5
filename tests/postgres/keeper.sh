# Keeps a private PostgreSQL server for a test process: makes a cluster in a folder of its own,
# starts it, does what it is told a line at a time (a word and what it needs), and takes everything
# away once its standard input closes, which happens however that process ends. Its first argument is
# the folder of the server's programs, the second a folder for temporary files.
set -u
trap '' HUP INT TERM PIPE
bin=$1
temp=$2
export PGTZ=UTC LC_ALL=C

# What a keeper left behind that was killed itself.
for old in "$temp"/linkyd-pg.*; do
    if [ -f "$old/keeper" ] && [ -O "$old" ] && ! kill -0 "$(cat "$old/keeper")" 2>/dev/null; then
        "$bin/pg_ctl" -D "$old/data" -m immediate stop >/dev/null 2>&1
        rm -rf "$old"
    fi
done

folder=$(mktemp -d "$temp/linkyd-pg.XXXXXX") || exit 1
echo $$ >"$folder/keeper"
log=$folder/log
cd "$folder" || exit 1

start() { "$bin/pg_ctl" -D "$folder/data" -l "$folder/server" -w -t 60 start >>"$log" 2>&1; }
stop() { "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop >>"$log" 2>&1; }

# A replica that waits for what its primary writes, as a server is after a failover to another one.
demote() {
    "$bin/pg_ctl" -D "$folder/data" -m fast -w stop >>"$log" 2>&1 && touch "$folder/data/standby.signal" && start
}
promote() { "$bin/pg_ctl" -D "$folder/data" -w promote >>"$log" 2>&1; }

# Listens on a port of the loopback address, for encrypted connections alone: $1 holds the certificate and its key.
secure() {
    cp "$1/server.crt" "$1/server.key" "$folder/data/" && chmod 600 "$folder/data/server.key" || return 1
    printf "listen_addresses = '127.0.0.1'\nport = %s\nssl = on\n" "$2" >>"$folder/data/postgresql.conf"
    printf 'local all all trust\nhostssl all all 127.0.0.1/32 trust\n' >"$folder/data/pg_hba.conf"
    stop && start
}

made() {
    "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >>"$log" 2>&1 || return 1
    # The machine does not crash here, so nothing has to reach its disk. But what the server confirmed
    # must outlive the server: synchronous_commit stays on.
    cat >>"$folder/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$folder'
max_connections = 300
max_locks_per_transaction = 256
shared_buffers = 64MB
fsync = off
full_page_writes = off
autovacuum = off
jit = off
timezone = 'UTC'
CONF
    start
}

if made; then
    echo "ready $folder"
    while read -r word first second; do
        case $word in
            stop) stop ;;
            start) start ;;
            restart) stop && start ;;
            demote) demote ;;
            promote) promote ;;
            secure) secure "$first" "$second" ;;
        esac && echo "done" || echo "failed"
    done
else
    echo "failed"
    cat "$log" "$folder/server" 2>/dev/null | tail -n 20
fi
stop
rm -rf "$folder"
