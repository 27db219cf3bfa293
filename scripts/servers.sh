# Private Postgres and Redis, and every other process a verb of ./dev starts: started on free loopback ports, known by
# pid and start time, stopped by exactly that. Sourced by ./dev; a "stack" is a folder that holds their data, logs and pids.

readonly POSTGRES_BIN="${WAYBILL_POSTGRES_BIN:-/usr/lib/postgresql/15/bin}"

# A process is its pid and its start time: a pid alone may be somebody else's by now.
process_start_time() { # PID → field 22 of stat; nothing for a dead process or a zombie
  local stat
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  read -r -a stat <<<"${stat##*) }"
  [[ ${stat[0]} != Z ]] && echo "${stat[19]}"
}

record_process() { # STACK NAME PID
  echo "$3 $(process_start_time "$3")" >"$1/$2.pid"
}

process_runs() { # STACK NAME
  local pid started
  [[ -f $1/$2.pid ]] && read -r pid started <"$1/$2.pid" && [[ -n $started && $(process_start_time "$pid") == "$started" ]]
}

stop_process() { # STACK NAME [SIGNAL] [SECONDS]: waits for its end, SIGKILLs after SECONDS
  local pid started deadline=$((SECONDS + ${4:-20}))
  if process_runs "$1" "$2"; then
    read -r pid started <"$1/$2.pid"
    kill -s "${3:-TERM}" "$pid" 2>/dev/null
    while process_runs "$1" "$2"; do
      ((SECONDS < deadline)) || kill -s KILL "$pid" 2>/dev/null
      sleep 0.02
    done
  fi
  rm -f "$1/$2.pid"
}

# Starts COMMAND in the background, its output in STACK/NAME.log. With $attached set it gets $death_signal when this
# script ends, even by SIGKILL; else it is a session of its own and stays.
start_process() { # STACK NAME COMMAND...
  local stack=$1 name=$2
  shift 2
  if [[ -n ${attached:-} ]]; then
    "${run_as[@]}" setpriv --pdeathsig "${death_signal:-KILL}" "$@" >>"$stack/$name.log" 2>&1 </dev/null &
  else
    "${run_as[@]}" setsid "$@" >>"$stack/$name.log" 2>&1 </dev/null &
  fi
  record_process "$stack" "$name" $!
  disown $!
}

# A port below those the kernel gives to outgoing connections, so that it stays free while a server restarts.
free_port() {
  local port
  while :; do
    port=$((15000 + RANDOM % 17000))
    (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

# Postgres refuses to run as root: as root, everything of it runs as the user postgres.
run_as=(env)
as_postgres=(env)
((EUID != 0)) || as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups)

# Makes the folder STACK/postgres, a link to elsewhere when the user postgres cannot reach the checkout.
make_postgres_folder() { # STACK
  [[ -d $1/postgres ]] && return
  mkdir "$1/postgres"
  ((EUID == 0)) || return 0
  chown postgres: "$1/postgres"
  if ! "${as_postgres[@]}" test -w "$1/postgres"; then
    rmdir "$1/postgres"
    local elsewhere
    elsewhere=$(mktemp -d /var/tmp/waybill-postgres-XXXXXX)
    chown postgres: "$elsewhere"
    ln -s "$elsewhere" "$1/postgres"
  fi
}

start_postgres() { # STACK → sets DATABASE_URL
  local stack=$1 folder port log="$1/postgres.log" from
  make_postgres_folder "$stack"
  folder=$(readlink -f "$stack/postgres")
  if [[ ! -f $folder/data/PG_VERSION ]]; then
    "${as_postgres[@]}" env -C "$folder" "$POSTGRES_BIN/initdb" --no-sync --no-instructions --auth=trust \
      --encoding=UTF8 --locale=C.UTF-8 --username=postgres --pgdata="$folder/data" >"$log" 2>&1 ||
      fail_with_log "initdb failed" "$log"
  fi
  # An attached server gets SIGQUIT, not SIGKILL, when the script dies: an immediate shutdown leaves no backend.
  local run_as=("${as_postgres[@]}") death_signal=QUIT
  for _ in 1 2 3 4 5; do
    port=$(free_port)
    : >>"$log"
    from=$(($(wc -c <"$log") + 1))
    start_process "$stack" postgres env -C "$folder" "$POSTGRES_BIN/postgres" -D "$folder/data" \
      -c listen_addresses=127.0.0.1 -c "port=$port" -c unix_socket_directories= -c max_connections=200 \
      -c shared_buffers=256MB -c max_wal_size=4GB -c fsync=on -c synchronous_commit=on -c log_checkpoints=off \
      -c lc_messages=C
    while process_runs "$stack" postgres; do
      if tail -c "+$from" "$log" | grep -q 'database system is ready to accept connections'; then
        DATABASE_URL="postgresql://postgres@127.0.0.1:$port/postgres"
        return
      fi
      sleep 0.02
    done
    tail -c "+$from" "$log" | grep -q 'Address already in use' || break
  done
  fail_with_log "Postgres did not start" "$log"
}

start_redis() { # STACK → sets REDIS_URL
  local stack=$1 port
  mkdir -p "$stack/redis"
  for _ in 1 2 3 4 5; do
    port=$(free_port)
    start_process "$stack" redis redis-server --bind 127.0.0.1 --port "$port" --save "" --appendonly no \
      --databases 1024 --dir "$stack/redis" --daemonize no
    while process_runs "$stack" redis; do
      if [[ $(redis-cli -h 127.0.0.1 -p "$port" ping 2>/dev/null) == PONG ]]; then
        REDIS_URL="redis://127.0.0.1:$port/0"
        return
      fi
      sleep 0.02
    done
  done
  fail_with_log "Redis did not start" "$stack/redis.log"
}

# Set by .waybill/up/env rather than by the user: those servers are ./dev up's own, and may be down by now.
if [[ "${DATABASE_URL:-} ${REDIS_URL:-}" == "${WAYBILL_DEV_UP:-}" ]]; then unset DATABASE_URL REDIS_URL; fi

# DATABASE_URL and REDIS_URL, where set, are used as they are; what is missing is started.
start_servers() { # STACK
  [[ -n ${DATABASE_URL:-} ]] || start_postgres "$1"
  [[ -n ${REDIS_URL:-} ]] || start_redis "$1"
}

stop_servers() { # STACK
  stop_process "$1" redis TERM
  stop_process "$1" postgres INT
}

# Starts a service and waits until its port file says that it serves.
start_service() { # STACK NAME COMMAND...
  local stack=$1 name=$2 deadline=$((SECONDS + 60))
  shift 2
  rm -f "$stack/$name.ports"
  start_process "$stack" "$name" "$@" --port-file "$stack/$name.ports"
  while [[ ! -s $stack/$name.ports ]]; do
    if ! process_runs "$stack" "$name" || ((SECONDS > deadline)); then
      fail_with_log "$name did not start" "$stack/$name.log"
    fi
    sleep 0.02
  done
}

service_address() { # STACK NAME → host:port of its gRPC server
  echo "127.0.0.1:$(sed -n 's/^grpc=//p' "$1/$2.ports")"
}

remove_stack() { # STACK
  local elsewhere
  if [[ -L $1/postgres ]]; then
    elsewhere=$(readlink "$1/postgres")
    [[ $elsewhere == /var/tmp/waybill-postgres-* ]] && rm -rf "$elsewhere"
  fi
  rm -rf "$1"
}
