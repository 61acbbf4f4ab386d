#!/bin/sh
# Makes the secrets of the compose file, each once and each readable by its user alone. A second run changes nothing,
# and one that was killed is made good: a file appears whole or not at all.
set -eu
folder=$1

STAGES=65532  # USER of the Dockerfile
SERVERS=999   # mysql and redis, in the official images
GRAFANA=472

random() { od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }

# secret NAME OWNER CONTENT
secret() {
    [ -e "$folder/$1" ] && return
    (umask 077 && printf '%s\n' "$3" >"$folder/.$1")
    chown "$2:$2" "$folder/.$1"
    chmod 400 "$folder/.$1"
    mv "$folder/.$1" "$folder/$1"
}

secret mysql_root_password "$SERVERS" "$(random 16)"
secret mysql_password "$SERVERS" "$(random 16)"
secret redis_password "$SERVERS" "$(random 16)"
secret redis.conf "$SERVERS" "requirepass $(cat "$folder/redis_password")"
secret database_url "$STAGES" "mysql://payout:$(cat "$folder/mysql_password")@mysql:3306/payout"
secret redis_url "$STAGES" "redis://:$(cat "$folder/redis_password")@redis:6379/0"
secret money_token "$STAGES" "$(random 16)"
# Encrypts voucher PINs. Whoever loses it cannot read the PINs in the database any more.
secret pin_key "$STAGES" "$(random 32)"
secret grafana_password "$GRAFANA" "$(random 16)"
echo "the secrets are in place"
