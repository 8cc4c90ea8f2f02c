# Keeps a PostgreSQL server for a test process, whose end is the end of this script's input: then nothing is left of the
# server, whatever it was doing.
#
#   keeper TEMPORARY PROGRAMS [AS…]
#
# AS is put before what may not run as root. Each line of input is an order, and one line says what came of it.

temporary=$1 programs=$2
shift 2
server=
# Nobody may be left to hear an answer; that is no reason to end before the last duty.
trap '' PIPE

folder=$("$@" mktemp -d -p "$temporary" keystile-postgres-XXXXXXXX 2>&1) || { echo "failed: $folder"; exit 1; }
# The folder that the tests run in may be closed to the user that the server runs as.
cd "$folder" || exit 1
echo "folder $folder"

# What follows an order is split into words on purpose.
while read -r order words; do
    case $order in
    init)
        if "$@" "$programs/initdb" -D "$folder/data" $words < /dev/null > log 2>&1; then echo made; else echo failed; fi
        ;;
    start)
        "$@" "$programs/postgres" -D "$folder/data" $words < /dev/null > log 2>&1 &
        server=$!
        echo "started $server"
        ;;
    end)
        kill "-$words" "$server" 2> /dev/null
        wait "$server"
        server=
        echo ended
        ;;
    esac
done

# Told again until it is gone: a program that has only just begun does not listen yet. The server kills its own children
# after 5 seconds, so 10 are enough.
round=0
while [ -n "$server" ] && [ "$round" -lt 200 ] && kill -QUIT "$server" 2> /dev/null; do
    sleep 0.05
    round=$((round + 1))
done
[ -n "$server" ] && kill -KILL "$server" 2> /dev/null
# A server that was killed could not take away the one thing that it has outside of its folder, a piece of shared memory.
if [ -f data/postmaster.pid ]; then
    ipcrm -m "$(sed -n '7s/.* //p' data/postmaster.pid)" 2> /dev/null
fi
echo gone
cd / && rm -rf -- "$folder"
