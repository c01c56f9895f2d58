#!/bin/sh
# Runs inside the broker's container: starts Mosquitto once `pledgewatch events` has written its password
# file, and makes it read the file again whenever a device was added, rotated or revoked.
# SIGHUP reloads passwords and ACL without dropping a connection.
set -eu

accounts=${BROKER_ACCOUNTS:-/run/pledgewatch/broker/passwords}
private=${BROKER_SECRETS:-/mosquitto/secrets}
config=${BROKER_CONFIG:-/mosquitto/config/mosquitto.conf}
poll_s=${BROKER_POLL_S:-2}
program=${BROKER_PROGRAM:-/usr/sbin/mosquitto}

fingerprint() { cksum <"$accounts" 2>/dev/null || echo none; }

# A copy, because the broker wants its secrets owned by its own user and hidden from others.
take_over() {
    umask 077
    mkdir -p "$private"
    cp "$accounts" "$private/passwords.new"
    mv "$private/passwords.new" "$private/passwords"
    if [ "$(id -u)" = 0 ] && id mosquitto >/dev/null 2>&1; then chown -R mosquitto:mosquitto "$private"; fi
}

broker=
stop() { if [ -n "$broker" ]; then kill -TERM "$broker" 2>/dev/null || true; wait "$broker" || true; fi; exit 0; }
trap stop TERM INT

while [ ! -s "$accounts" ]; do
    echo "broker: waiting for $accounts (pledgewatch events writes it)"
    sleep "$poll_s"
done
seen=$(fingerprint)
take_over
"$program" -c "$config" &
broker=$!

while kill -0 "$broker" 2>/dev/null; do
    # In the background, so that a stop request does not wait for the end of the pause.
    sleep "$poll_s" & wait $! || true
    now=$(fingerprint)
    if [ "$now" != "$seen" ] && [ -s "$accounts" ]; then
        take_over
        seen=$now
        kill -HUP "$broker" && echo "broker: password file read again"
    fi
done
wait "$broker"
