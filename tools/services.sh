#!/usr/bin/env bash
# The servers that tests stand on: MariaDB, PostgreSQL, Redis, RabbitMQ; and Chromium for browser tests.
#
#   tools/services.sh install   as root: install with apt what is missing
#   tools/services.sh start     start what does not answer, wait until it does
#   tools/services.sh up        both, as far as this user may; stdout is shell code that exports test URLs
#   tools/services.sh status    say what answers
#
# What a person set in FORECOURT_TEST_*_URL is only probed, never started. A server that was on the machine
# before is never reconfigured; one that this script installs gets a login `forecourt_test` of its own, which
# may only make databases named forecourt_test_…. With FORECOURT_REQUIRE_SERVICES=1 something missing is an error.
set -euo pipefail

readonly ANSWER_TIMEOUT_S=60
readonly TEST_LOGIN=forecourt_test
readonly MARK=/var/lib/forecourt-test-services # A name in it: this script installed that server.
readonly BROWSER_PACKAGES=(chromium fonts-noto-cjk)
declare -A PACKAGE=([mariadb]=mariadb-server [postgresql]=postgresql [redis]=redis-server [rabbitmq]=rabbitmq-server)
declare -A PROGRAM=([mariadb]=mariadbd [postgresql]=pg_ctlcluster [redis]=redis-server [rabbitmq]=rabbitmq-server)
declare -A UNIT=([mariadb]=mariadb [postgresql]=postgresql [redis]=redis-server [rabbitmq]=rabbitmq-server)
declare -A PORT=([mariadb]=3306 [postgresql]=5432 [redis]=6379 [rabbitmq]=5672)
declare -A VARIABLE=([mariadb]=FORECOURT_TEST_MYSQL_URL [postgresql]=FORECOURT_TEST_POSTGRESQL_URL
    [redis]=FORECOURT_TEST_REDIS_URL [rabbitmq]=FORECOURT_TEST_AMQP_URL)
declare -A URL=(
    [mariadb]="${FORECOURT_TEST_MYSQL_URL:-mysql://root@127.0.0.1:3306}"
    [postgresql]="${FORECOURT_TEST_POSTGRESQL_URL:-postgresql://root@127.0.0.1:5432/test}"
    [redis]="${FORECOURT_TEST_REDIS_URL:-redis://127.0.0.1:6379/0}"
    [rabbitmq]="${FORECOURT_TEST_AMQP_URL:-amqp://guest:guest@127.0.0.1:5672/}"
)
declare -A OWN_URL=(
    [mariadb]="mysql://$TEST_LOGIN:$TEST_LOGIN@127.0.0.1:3306"
    [postgresql]="postgresql://$TEST_LOGIN:$TEST_LOGIN@127.0.0.1:5432/$TEST_LOGIN"
)
readonly SERVICES=(mariadb postgresql redis rabbitmq)
PATH=$PATH:/usr/sbin:/sbin

say() { printf '   %-11s %s\n' "$1" "$2" >&2; }
is_root() { [[ $(id -u) == 0 ]]; }
has_apt() { command -v apt-get >/dev/null; }
has() { command -v "${PROGRAM[$1]}" >/dev/null; }
given() { [[ -n ${!VARIABLE[$1]:-} ]]; }

# Of a service and its URL: host, port, user, password, a line each.
parts() {
    local rest=${2#*://} login='' password=''
    if [[ $rest == *@* ]]; then login=${rest%%@*} rest=${rest#*@}; fi
    local place=${rest%%/*}
    if [[ $place != *:* ]]; then place+=:${PORT[$1]}; fi
    if [[ $login == *:* ]]; then password=${login#*:}; fi
    printf '%s\n' "${place%%:*}" "${place##*:}" "${login%%:*}" "$password"
}

# Whether the server at a URL takes its login; without a client program, whether the port is open.
answers() {
    local service=$1 host port user password
    mapfile -t found < <(parts "$service" "$2")
    host=${found[0]} port=${found[1]} user=${found[2]} password=${found[3]}
    timeout 5 bash -c "exec 3<>/dev/tcp/$host/$port" 2>/dev/null || return 1
    case $service in
        mariadb) ! command -v mariadb >/dev/null || MYSQL_PWD=$password timeout 10 mariadb --no-defaults \
            --protocol=tcp --host="$host" --port="$port" --user="$user" --execute='SELECT 1' >/dev/null 2>&1 ;;
        postgresql) ! command -v psql >/dev/null ||
            timeout 10 psql --no-psqlrc --no-password --quiet "$2" --command='SELECT 1' >/dev/null 2>&1 ;;
        redis) ! command -v redis-cli >/dev/null ||
            timeout 5 redis-cli -u "$2" --no-auth-warning ping 2>/dev/null | grep -q PONG ;;
        rabbitmq) timeout 5 bash -c "exec 3<>/dev/tcp/$host/$port; printf 'AMQP\0\0\11\1' >&3; head -c 1 <&3" 2>/dev/null |
            grep -q . --binary-files=text ;;
    esac
}

# The first URL under which the service answers.
working_url() {
    local service=$1 url
    for url in "${URL[$service]}" ${OWN_URL[$service]:+"${OWN_URL[$service]}"}; do
        if answers "$service" "$url"; then
            printf '%s\n' "$url"
            return
        fi
    done
    return 1
}

is_on() { working_url "$1" >/dev/null; }

install_missing() {
    local service packages=()
    for service in "${SERVICES[@]}"; do
        if ! has "$service" && ! is_on "$service" && ! given "$service"; then packages+=("${PACKAGE[$service]}"); fi
    done
    if ! command -v "${FORECOURT_CHROMIUM:-chromium}" >/dev/null; then packages+=("${BROWSER_PACKAGES[@]}"); fi
    [[ ${#packages[@]} -gt 0 ]] || return 0
    if ! is_root || ! has_apt; then
        say install "missing: ${packages[*]}. As root on Debian: tools/services.sh install"
        return 0
    fi
    say install "${packages[*]} (one to three minutes)"
    mkdir -p "$MARK"
    for service in "${SERVICES[@]}"; do
        if [[ " ${packages[*]} " == *" ${PACKAGE[$service]} "* ]]; then touch "$MARK/$service"; fi
    done
    export DEBIAN_FRONTEND=noninteractive
    local log
    log=$(mktemp)
    # An old package list is better than none when the mirror does not answer.
    if ! { apt-get update -qq || true; apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        say install "apt-get failed; the tests that need these parts will say so"
    fi
    rm -f "$log"
}

start_one() {
    local service=$1
    if [[ -d /run/systemd/system ]]; then
        systemctl start "${UNIT[$service]}"
        return
    fi
    case $service in
        mariadb)
            install -d -o mysql -g mysql /run/mysqld
            start-stop-daemon --start --oknodo --background --exec /usr/sbin/mariadbd -- --user=mysql
            ;;
        postgresql)
            local version name
            read -r version name _ < <(pg_lsclusters --no-header)
            pg_ctlcluster --skip-systemctl-redirect "$version" "$name" start
            ;;
        redis)
            start-stop-daemon --start --oknodo --background --chuid redis --exec /usr/bin/redis-server -- \
                --bind 127.0.0.1 --port 6379 --save "" --appendonly no --dir /var/lib/redis
            ;;
        rabbitmq)
            RABBITMQ_NODENAME=rabbit@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 ERL_EPMD_ADDRESS=127.0.0.1 \
                rabbitmq-server -detached
            ;;
    esac
}

# Only on servers that this script installed.
make_test_login() {
    local service=$1
    [[ -e $MARK/$service ]] || return 0
    case $service in
        mariadb)
            local host
            for host in 127.0.0.1 localhost; do
                mariadb --no-defaults --user=root --execute="
                    CREATE USER IF NOT EXISTS '$TEST_LOGIN'@'$host' IDENTIFIED BY '$TEST_LOGIN';
                    GRANT ALL ON \`forecourt\\_test\\_%\`.* TO '$TEST_LOGIN'@'$host';"
            done
            ;;
        postgresql)
            runuser --user postgres -- psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 <<SQL
CREATE ROLE $TEST_LOGIN LOGIN CREATEDB PASSWORD '$TEST_LOGIN';
GRANT SET ON PARAMETER session_replication_role TO $TEST_LOGIN;
CREATE DATABASE $TEST_LOGIN OWNER $TEST_LOGIN;
SQL
            ;;
    esac
}

port_is_open() {
    mapfile -t found < <(parts "$1" "${URL[$1]}")
    timeout 5 bash -c "exec 3<>/dev/tcp/${found[0]}/${found[1]}" 2>/dev/null
}

start_missing() {
    local service waiting=()
    for service in "${SERVICES[@]}"; do
        if is_on "$service" || given "$service" || ! has "$service" || ! is_root; then continue; fi
        if ! port_is_open "$service"; then
            say "$service" "starting"
            start_one "$service" >&2 || true
        fi
        waiting+=("$service")
    done
    for service in ${waiting[@]+"${waiting[@]}"}; do wait_for "$service"; done
}

wait_for() {
    local service=$1 give_up=$((SECONDS + ANSWER_TIMEOUT_S))
    until is_on "$service" || ((SECONDS >= give_up)); do
        if port_is_open "$service"; then make_test_login "$service" >/dev/null 2>&1 || true; fi # Or still too early.
        sleep 0.5
    done
}

report() {
    local service url lacking=0
    for service in "${SERVICES[@]}"; do
        if url=$(working_url "$service"); then
            say "$service" "answers"
            if [[ $url != "${URL[$service]}" ]]; then printf 'export %s=%q\n' "${VARIABLE[$service]}" "$url"; fi
        else
            lacking=1
            say "$service" "DOES NOT ANSWER: its tests are skipped. $(advice "$service")"
        fi
    done
    if command -v "${FORECOURT_CHROMIUM:-chromium}" >/dev/null; then
        say chromium "is there"
    else
        lacking=1
        say chromium "IS MISSING: browser tests are skipped. As root on Debian: tools/services.sh install"
    fi
    if ((lacking)) && [[ ${FORECOURT_REQUIRE_SERVICES:-} == 1 ]]; then
        say error "FORECOURT_REQUIRE_SERVICES=1, and not everything is there"
        return 1
    fi
}

advice() {
    if given "$1"; then
        printf 'Look at %s.' "${VARIABLE[$1]}"
    elif ! has "$1"; then
        printf 'As root on Debian: tools/services.sh up'
    elif port_is_open "$1"; then
        printf 'It runs, but refuses %s; set %s.' "${URL[$1]}" "${VARIABLE[$1]}"
    else
        printf 'Start it, or as root: tools/services.sh start'
    fi
}

case ${1:-} in
    install) install_missing ;;
    start) start_missing && report ;;
    up) install_missing && start_missing && report ;;
    status) report ;;
    *)
        sed -n '2,/^set /p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
        exit 2
        ;;
esac
